"""The platform as processes of its own, on servers that a drill breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from uuid import UUID

import httpx

from deploy.drills.load import Clients, Load
from deploy.drills.outcome import Outcome
from deploy.drills.stage import Stage, until
from factory.embedded.child import Child
from factory.errors import Unavailable
from factory.services import connect
from factory.simulator import HostedSimulator
from factory.store import keys, projects
from factory.store.database import ids, rows
from tests.integration.reliability.ports import free_port
from tests.integration.reliability.rig import SECRET_KEY, Rig, running_rig, status_of

SLOTS = "40"
ENDS_S = 240.0
LEFT = """
SELECT count(*) AS jobs FROM jobs
 WHERE id = ANY(CAST(%(ids)s AS uuid[])) AND state IN ('queued', 'running', 'waiting')
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """One of them."""

    port: int
    process: Child

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Platform:
    """Running. `rig` starts more of it, and asks Postgres."""

    rig: Rig
    gateways: Sequence[Gateway]
    key: str

    @property
    def clients(self) -> Clients:
        return Clients([one.url for one in self.gateways], self.key)

    def watched_from(self, database_url: str) -> Platform:
        """The same, asked about by another way to Postgres."""
        settings = self.rig.settings.model_copy(update={"database_url": database_url})
        rig = replace(self.rig, settings=settings, services=connect(settings, "drill"))
        return replace(self, rig=rig)

    def ended(self, load: Load) -> dict[UUID, str]:
        """The state of each accepted job that has ended, once all that are there have, or the patience is over."""
        wanted = list(load.accepted)
        with suppress(TimeoutError):  # what has not ended is lost
            until(lambda: self._left(wanted) == 0, ENDS_S)
        return {one.id: one.state for one in self.rig.ended(wanted)}

    def _left(self, wanted: Sequence[UUID]) -> int | None:
        """How many go on; None while Postgres does not answer."""
        try:
            with self.rig.services.database.transaction() as tx:
                return int(rows(tx, LEFT, {"ids": ids(wanted)})[0].jobs)
        except Unavailable:
            return None

    def outcome(self, load: Load, struck: float, rto_s: float) -> Outcome:
        """Of a disaster at `struck` after which every accepted job has to succeed."""
        states = self.ended(load)
        lost = [job_id for job_id in load.accepted if states.get(job_id) != "succeeded"]
        rpo_s = max((struck - load.accepted[one] for one in lost), default=0.0)
        return Outcome(rto_s, max(rpo_s, 0.0), len(lost), counted=len(load.accepted))


@contextmanager
def running_platform(
    stage: Stage, database_url: str, redis_url: str, provider: HostedSimulator, gateways: int = 1
) -> Iterator[Platform]:
    """A dispatcher, a worker, and so many gateways that answer."""
    with running_rig(stage.directory, database_url, redis_url, provider) as rig:
        rig.start("workers.dispatcher")
        rig.start("workers.worker", "--slots", SLOTS)
        doors = [start_gateway(rig) for _ in range(gateways)]
        until(lambda: rig.beating() >= 1 and all(map(answers, doors)))
        yield Platform(rig, doors, new_key(rig))


def start_gateway(rig: Rig, port: int | None = None, **variables: str) -> Gateway:
    """Not ready yet."""
    port = port or free_port()
    options = ("-c", "python:api.gunicorn", "-b", f"127.0.0.1:{port}")
    return Gateway(port, rig.start("gunicorn", *options, WEB_CONCURRENCY="1", **variables))


def answers(gateway: Gateway) -> bool:
    """Whether it is ready for requests."""
    with httpx.Client(base_url=gateway.url, timeout=5.0) as client:
        return status_of(client, "/ready") == 200


def new_key(rig: Rig) -> str:
    """An API key for jobs."""
    with rig.services.database.transaction() as tx:
        project = projects.ensure(tx, "drill")
        return keys.create(tx, SECRET_KEY, project.id, "drill", ["jobs"])
