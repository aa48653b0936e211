"""The platform's programs as processes, over servers that a test breaks; the simulator's log is the judge."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx

from factory.config import Settings
from factory.domain.job import public_id
from factory.embedded.child import Child, spawn
from factory.errors import Unavailable
from factory.services import Services, connect
from factory.simulator import HostedSimulator
from factory.simulator.journal import Phase
from factory.store import keys, projects
from factory.store.archive import EVERY_JOB
from factory.store.database import ids, rows, run
from tests.integration.reliability.ports import free_port
from tests.integration.store.samples import given_jobs

SECRET_KEY = "test-secret-key-of-32-characters!"
STOP_STEPS = ((signal.SIGTERM, 20.0),)
READY_S = 90.0
ENDS_S = 120.0
ANSWER_S = 40.0
"""Longer than a gateway may need for any answer."""
# Each in a transaction of its own and in the order of claims, beside workers that hold rows.
END_ALL = tuple(
    f"UPDATE jobs SET {what} WHERE id IN"
    f" (SELECT id FROM jobs WHERE state = '{state}' ORDER BY id FOR UPDATE)"
    for state, what in (
        ("queued", "run_at = now() + interval '1 year'"),
        ("running", "cancel_requested_at = now()"),
    )
)
TERMINAL = ("succeeded", "failed", "cancelled")

Answer = TypeVar("Answer")


def eventually(look: Callable[[], Answer], within_s: float = ENDS_S) -> Answer:
    """The first truthy answer; fails with the last one when the time is over."""
    deadline = time.monotonic() + within_s
    while not (answer := look()):
        assert time.monotonic() < deadline, f"still {answer!r} after {within_s:g} s"
        time.sleep(0.05)
    return answer


def status_of(client: httpx.Client, path: str) -> int | None:
    """The status of the answer, None without one."""
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return None


@dataclass(frozen=True, slots=True)
class Ended:
    """A job as the test finds it in the end."""

    id: UUID
    state: str
    attempt: int


@dataclass
class Rig:
    """Programs that share one environment, and the test's own way to the same servers."""

    directory: Path
    settings: Settings
    simulator: HostedSimulator
    services: Services
    programs: list[Child] = field(default_factory=list)

    def start(
        self, name: str, *arguments: str, under: Sequence[str] = (), **variables: str
    ) -> Child:
        """Runs `python -m name arguments…`, as the last words of the command `under`; its output is in `log(name)`."""
        with (self.directory / f"{name}.log").open("ab") as log:
            program = spawn(
                [*under, sys.executable, "-m", name, *arguments],
                death_signal=signal.SIGKILL,
                output=log,
                env={**os.environ, **_environment(self.settings), **variables},
            )
        self.programs.append(program)
        return program

    def start_crew(self, workers: int = 1, slots: int = 40) -> list[Child]:
        """A dispatcher and so many workers that beat; gives the workers."""
        self.start("workers.dispatcher")
        crew = [self.start("workers.worker", "--slots", str(slots)) for _ in range(workers)]
        eventually(lambda: self.beating() >= workers, READY_S)
        return crew

    @contextmanager
    def gateway(self) -> Iterator[httpx.Client]:
        """A client with a key to a gateway that answers."""
        port = free_port()
        bind = ("-c", "python:api.gunicorn", "-b", f"127.0.0.1:{port}")
        self.start("gunicorn", *bind, WEB_CONCURRENCY="1")
        with self.services.database.transaction() as tx:
            project = projects.ensure(tx, "rig")
            key = keys.create(tx, SECRET_KEY, project.id, "test", ["jobs"])
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=ANSWER_S,
        ) as client:
            eventually(lambda: status_of(client, "/health") == 200, READY_S)
            yield client

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def stop(self) -> None:
        """Ends all in order."""
        for program in self.programs:
            program.send(signal.SIGTERM)
        for program in self.programs:
            program.end(STOP_STEPS)

    def end_all(self) -> None:
        """What runs is cancelled, what waits will wait for longer than the test lasts: workers can then stop."""
        for statement in END_ALL:
            with self.services.database.transaction() as tx:
                run(tx, statement)

    def submit(self, count: int, script: str = "") -> list[UUID]:
        """Accepted jobs; `script` tells the simulator what to do with each."""
        prompt = f"Say hello. {{{{simulate {script}}}}}" if script else "Say hello."
        message = {"role": "user", "content": prompt}
        return given_jobs(self.services, count, input={"messages": [message]})

    def beating(self) -> int:
        """Workers that beat a moment ago."""
        found = self._ask(
            "SELECT count(*) AS n FROM workers"
            " WHERE stopped_at IS NULL AND heartbeat_at > now() - interval '3 seconds'"
        )
        return int(found[0].n) if found else 0

    def ended(self, job_ids: Sequence[UUID]) -> list[Ended]:
        """Those of the jobs that have ended; none while Postgres is away."""
        found = self._ask(
            f"SELECT id, state, attempt FROM {EVERY_JOB} j WHERE id = ANY(CAST(%(ids)s AS uuid[]))"
            " AND state IN ('succeeded', 'failed', 'cancelled')",
            ids=ids(job_ids),
        )
        return [Ended(row.id, row.state, row.attempt) for row in found]

    def all_ended(self, job_ids: Sequence[UUID], within_s: float = ENDS_S) -> list[Ended]:
        eventually(lambda: len(self.ended(job_ids)) == len(job_ids), within_s)
        return self.ended(job_ids)

    def calls(self) -> Counter[str | None]:
        """How often the provider was asked, by job."""
        entries = self.simulator.calls()
        return Counter(entry.job for entry in entries if entry.phase is Phase.RECEIVED)

    def calls_of(self, job_ids: Sequence[UUID]) -> set[str]:
        """Those of the jobs, by public id, that the provider was asked for."""
        return {public_id(job_id) for job_id in job_ids} & {job for job in self.calls() if job}

    def called_once(self, job_ids: Sequence[UUID]) -> bool:
        """Whether the provider was asked exactly once for each of the jobs."""
        calls = self.calls()
        return all(calls[public_id(job_id)] == 1 for job_id in job_ids)

    def _ask(self, statement: str, **params: Any) -> Sequence[Any]:
        try:
            with self.services.database.transaction(answer_s=5.0) as tx:
                return rows(tx, statement, params)
        except Unavailable:
            return []


@contextmanager
def running_rig(
    directory: Path,
    database_url: str,
    redis_url: str,
    simulator: HostedSimulator,
    *,
    own_database_url: str | None = None,
) -> Iterator[Rig]:
    """A rig without programs yet; the ones that the test starts end with the block.

    `own_database_url` is the test's own way to Postgres, where the programs have another.
    """
    url = simulator.url
    providers = {
        "openai_api_key": "dummy",
        "openai_base_url": f"{url}/openai/v1",
        "anthropic_api_key": "dummy",
        "anthropic_base_url": f"{url}/anthropic",
    }
    chosen = Settings(
        database_url=database_url,
        redis_url=redis_url,
        secret_key=SECRET_KEY,
        webhook_allow_loopback=True,
    ).model_copy(update=providers)
    own = chosen.model_copy(update={"database_url": own_database_url or database_url})
    services = connect(own, "test")
    rig = Rig(directory, chosen, simulator, services)
    try:
        yield rig
    finally:
        rig.stop()
        services.close()


def _environment(settings: Settings) -> dict[str, str]:
    values = settings.model_dump(exclude={"libpq_url"}, exclude_none=True)
    return {name.upper(): str(value) for name, value in values.items()}
