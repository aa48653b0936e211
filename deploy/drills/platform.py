"""The platform as processes of its own, on servers that a drill breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from uuid import UUID

import httpx

from deploy.drills.load import Clients, Load
from deploy.drills.outcome import Outcome
from deploy.drills.stage import Stage, persist, until
from factory.domain.principal import PLATFORM
from factory.embedded.child import Child
from factory.services import connect
from factory.simulator import HostedSimulator
from factory.store import keys, projects
from factory.store.database import ids, rows
from tests.integration.reliability.ports import free_port
from tests.integration.reliability.rig import SECRET_KEY, Rig, running_rig, status_of

SLOTS = "100"
"""More than the clients fill: jobs wait for the end of the disaster and not for a slot."""
ENDS_S = 240.0
STATES = """
SELECT id, state FROM jobs WHERE id = ANY(CAST(%(ids)s AS uuid[]))
 UNION ALL
SELECT id, state FROM jobs_archive WHERE id = ANY(CAST(%(ids)s AS uuid[]))
"""
LIVE = ("queued", "running", "waiting")


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

    @contextmanager
    def watched_from(self, database_url: str) -> Iterator[Platform]:
        """The same, asked about by another way to Postgres."""
        settings = self.rig.settings.model_copy(update={"database_url": database_url})
        with closing(connect(settings, "drill")) as services:
            yield replace(self, rig=replace(self.rig, settings=settings, services=services))

    def outcome(self, load: Load, struck: float, rto_s: float) -> Outcome:
        """Of a disaster at `struck` after which every accepted job has to succeed."""
        accepted = load.accepted.copy()
        states = self._ended(list(accepted))
        lost = [at for job_id, at in accepted.items() if states.get(job_id) != "succeeded"]
        rpo_s = max((struck - at for at in lost), default=0.0)
        return Outcome(rto_s, max(rpo_s, 0.0), len(lost), counted=len(accepted))

    def uninterrupted(
        self, load: Load, started: float, took_s: float, complaints: Sequence[str] = ()
    ) -> Outcome:
        """Of an operation in which no request may fail either."""
        found, failures = self.outcome(load, started, took_s), list(load.failures)
        lost = found.lost + len(failures)
        reasons = (*failures[:3], *complaints)
        return replace(found, lost=lost, counted=load.requests, complaints=reasons)

    def _ended(self, wanted: Sequence[UUID]) -> dict[UUID, str]:
        """States by job, once all that are there have ended, or the patience is over."""

        def all_ended() -> bool:
            return not any(state in LIVE for state in self._states(wanted).values())

        with suppress(TimeoutError):  # what has not ended is lost
            until(lambda: persist(all_ended), ENDS_S)
        return persist(lambda: self._states(wanted))

    def _states(self, wanted: Sequence[UUID]) -> dict[UUID, str]:
        with self.rig.services.database.transaction(PLATFORM) as tx:
            return {row.id: row.state for row in rows(tx, STATES, {"ids": ids(wanted)})}


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
        with ended_at_once(rig):
            yield Platform(rig, doors, new_key(rig))


@contextmanager
def ended_at_once(rig: Rig) -> Iterator[None]:
    """How programs end after a drill is no part of it: nobody waits for it."""
    try:
        yield
    finally:
        for program in rig.programs:
            program.kill()


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

    def make() -> str:
        with rig.services.database.transaction(PLATFORM) as tx:
            project = projects.ensure(tx, "drill")
            return keys.create(tx, SECRET_KEY, project.id, "drill", ["jobs"])

    return persist(make)
