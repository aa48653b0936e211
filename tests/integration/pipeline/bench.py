"""Jobs submitted, executed and looked at in one process, with every part real but the providers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from uuid import UUID

from factory.domain.job import NewJob, new_id, public_id
from factory.domain.lanes import all_lanes
from factory.kinds.request import JobRequest
from factory.limits.backlog import Backpressure
from factory.llm.catalog import Catalog
from factory.pipeline.accept.submit import IdempotencyKey, Intake, submit
from factory.pipeline.run.execute import execute
from factory.pipeline.run.worker import Worker
from factory.pipeline.wakeup import WakeUpSender
from factory.services import Services
from factory.simulator import HostedSimulator
from factory.simulator.journal import Phase
from factory.store import jobs
from factory.store.jobs import JobView
from tests.integration.store.samples import OWNER, ask, tell, view
from workers.heartbeat import Heartbeat

Result = TypeVar("Result")
PATIENCE_S = 120.0
OPENAI = "openai/gpt-4o-mini"


class Bench:
    """One loop on which any number of workers run; they share nothing but the servers."""

    def __init__(
        self,
        services: Services,
        catalog: Catalog,
        simulator: HostedSimulator,
        runner: asyncio.Runner,
    ) -> None:
        self.services = services
        self.catalog = catalog
        self.simulator = simulator
        self.wake_up = WakeUpSender(services.redis)
        self._runner = runner
        self._workers: list[tuple[Worker, Heartbeat]] = []

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What the coroutine gives; it has `PATIENCE_S`."""
        return self._runner.run(asyncio.wait_for(work, PATIENCE_S))

    def worker(
        self, services: Services | None = None, *, pid_namespace: str | None = None
    ) -> Worker:
        """A new worker with a heartbeat; `services` where it shall have others than the bench."""
        return self.run(self._start_worker(services or self.services, pid_namespace))

    async def _start_worker(self, services: Services, pid_namespace: str | None) -> Worker:
        worker = Worker(services, self.catalog, new_id())
        heartbeat = Heartbeat(self.services, worker, all_lanes(), 100, pid_namespace)
        heartbeat.start()
        self._workers.append((worker, heartbeat))
        return worker

    def close(self) -> None:
        """Ends every worker in order."""
        while self._workers:
            worker, heartbeat = self._workers.pop()
            self.run(worker.close())
            heartbeat.stop()
        self.wake_up.stop()

    @property
    def intake(self) -> Intake:
        return Intake(self.services, self.catalog, self.wake_up, Backpressure(self.services))

    def submit(self, key: IdempotencyKey | None = None, **request: Any) -> UUID:
        """An accepted job of the default model, unless the request names another."""
        whole: dict[str, Any] = {"model": OPENAI, "input": "Say hello.", **request}
        if "agent" in request:
            del whole["model"]
        accepted = submit(self.intake, OWNER, JobRequest.model_validate(whole), key=key)
        assert isinstance(accepted, JobView)
        return accepted.id

    def give(self, job: NewJob) -> None:
        """A job that no request is made of here."""
        with self.services.database.transaction() as tx:
            jobs.insert(tx, [job])

    def execute(self, *job_ids: UUID, worker: Worker | None = None) -> None:
        """One hint with these jobs, run to its end."""
        self.run(execute(worker or self.worker(), job_ids))

    def finished(self, **request: Any) -> JobView:
        """The job after its first attempt."""
        job_id = self.submit(**request)
        self.execute(job_id)
        return self.view(job_id)

    def view(self, job_id: UUID) -> JobView:
        return view(self.services, job_id)

    def calls(self, job_id: UUID) -> int:
        """How often the simulator was asked for the job."""
        entries = self.simulator.calls(public_id(job_id))
        return sum(entry.phase is Phase.RECEIVED for entry in entries)

    def make_due(self, job_id: UUID) -> None:
        """The job's next attempt need not wait."""
        tell(self.services, "UPDATE jobs SET run_at = now() WHERE id = %(id)s", id=str(job_id))

    def wait_s(self, job_id: UUID) -> float:
        """Seconds until the job may run, by Postgres' clock."""
        [row] = ask(
            self.services,
            "SELECT extract(epoch FROM run_at - now())::float8 AS wait_s FROM jobs WHERE id = %(id)s",
            id=str(job_id),
        )
        return float(row.wait_s)


async def until(true: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Returns as soon as the condition holds; fails when it does not within the time."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.005)


async def timed(work: Awaitable[object]) -> float:
    """How long the work took, in seconds."""
    started = time.monotonic()
    await work
    return time.monotonic() - started


def script(words: str) -> str:
    """A prompt that tells the simulator what to do with it."""
    return f"Say hello. {{{{simulate {words}}}}}"
