"""Quarantine: jobs whose workers died run in a process of their own, forked by `python -m workers.quarantine`.

If that process dies too, the worker that started it queues its jobs again for smaller groups; a job that was alone
is poison. If both die at once, the leases expire as usual.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from factory.config import settings_or_exit
from factory.domain.job import JobError, Outcome, new_id, parse_id, public_id
from factory.domain.quarantine import groups
from factory.domain.state import State
from factory.errors import PoisonJob, WorkerLost
from factory.llm.catalog import load_catalog
from factory.log import configure_logging
from factory.pipeline.finish import finish_jobs
from factory.pipeline.run.execute import execute
from factory.pipeline.run.worker import Worker
from factory.services import connect
from factory.store import leases, quarantine
from factory.store.database import Tx
from factory.store.leases import Expired
from factory.store.quarantine import QuarantinedJob
from workers.blockage import watch_loop
from workers.fork_server import ForkServer, serve
from workers.heartbeat import Heartbeat

if TYPE_CHECKING:
    from workers.events import JobEvents

log = logging.getLogger(__name__)


class Quarantine:
    """Runs groups of quarantined jobs for a worker, one after another. Used on the worker's loop."""

    def __init__(self, worker: Worker, events: JobEvents | None = None) -> None:
        self._worker = worker
        self._events = events
        self._one = asyncio.Lock()
        self._processes = ForkServer("workers.quarantine")

    async def close(self) -> None:
        """After the last message."""
        await self._processes.close()

    async def run(self, job_ids: Sequence[UUID]) -> None:
        """Returns when the jobs' processes have ended, in whatever way.

        None is started for jobs that are no longer due, nor by a draining worker: its hint is lost, and goes out again.
        """
        async with self._one:
            for group in groups(await self._worker.committer.write(due_jobs, job_ids)):
                if self._worker.draining:
                    return
                await self._run_group(group)

    async def _run_group(self, job_ids: Sequence[UUID]) -> None:
        process_id = new_id()
        log.warning("%d jobs run in quarantine: their workers died", len(job_ids))
        await self._tell_start(job_ids)
        code = await self._processes.run([str(process_id), *map(public_id, job_ids)])
        if code != 0:
            log.error("%d jobs ended their process with %d", len(job_ids), code)
            await self._worker.committer.commit(end_group, Death(process_id, len(job_ids) == 1))
        await self._tell_end(job_ids)

    async def _tell_start(self, job_ids: Sequence[UUID]) -> None:
        """Sends the events of the jobs: their process has no connection to the broker."""
        if self._events and self._events.listening:
            for job in await self._worker.committer.write(stored_jobs, job_ids):
                self._events.started(replace(job, attempt=job.attempt + 1))

    async def _tell_end(self, job_ids: Sequence[UUID]) -> None:
        if self._events and self._events.listening:
            for job in await self._worker.committer.write(stored_jobs, job_ids):
                state = None if job.state is State.RUNNING else job.state
                self._events.ended(job.id, state, _reason(job))


def due_jobs(tx: Tx, hinted: list[Sequence[UUID]]) -> Sequence[Mapping[UUID, int]]:
    """Batch statement: those jobs of each message that still wait, with their deaths."""
    found = quarantine.due(tx, [job_id for job_ids in hinted for job_id in job_ids])
    return [{one: found[one] for one in job_ids if one in found} for job_ids in hinted]


def _reason(job: QuarantinedJob) -> JobError | None:
    if job.error is None:
        return None
    return JobError(job.error["type"], job.error["message"], job.error.get("retryable", False))


def stored_jobs(tx: Tx, groups_of_jobs: list[Sequence[UUID]]) -> Sequence[Sequence[QuarantinedJob]]:
    """Batch statement: each group's jobs as they are stored."""
    found = quarantine.stored(tx, [job_id for job_ids in groups_of_jobs for job_id in job_ids])
    by_id = {one.id: one for one in found}
    return [[by_id[one] for one in job_ids if one in by_id] for job_ids in groups_of_jobs]


@dataclass(frozen=True, slots=True)
class Death:
    """The death of a quarantine process, with one job or several."""

    process_id: UUID
    alone: bool


def end_group(tx: Tx, deaths: list[Death]) -> Sequence[None]:
    """Batch statement: jobs of the dead processes are queued again for smaller groups, or are poison."""
    held = [(one, death) for death in deaths for one in leases.held(tx, death.process_id)]
    finish_jobs(tx, [_after(death, one) for one, death in held])
    return [None] * len(deaths)


def _after(death: Death, held: Expired) -> Outcome:
    """The death of a group spends no attempt: most of its jobs did not cause it."""
    if death.alone:
        error = JobError.of(
            PoisonJob("the job killed its workers, and the process it ran in alone")
        )
        state, spends_attempt = State.FAILED, True
    else:
        error = JobError.of(WorkerLost("the job shared a process that died"))
        state, spends_attempt = State.QUEUED, False
    return Outcome(
        held.job_id,
        held.lease_token,
        state,
        error=error,
        spends_attempt=spends_attempt,
        worker_died=True,
    )


def run_group(words: Sequence[str]) -> None:
    """`WORKER JOB...`: runs the jobs to their end as that worker. Whatever it raises counts as a death."""
    worker_id, *job_ids = words
    asyncio.run(_run_here(UUID(worker_id), [parse_id(job_id) for job_id in job_ids]))


async def _run_here(worker_id: UUID, job_ids: Sequence[UUID]) -> None:
    services = connect(settings_or_exit("workers.quarantine"), "quarantine")
    catalog = load_catalog(services.settings.extra_models)
    worker = Worker(services, catalog, worker_id, quarantine=True)
    heartbeat = Heartbeat(services, worker, lanes=(), slots=0)
    heartbeat.start()
    loop_watch = watch_loop(worker)
    try:
        await execute(worker, job_ids)
    finally:
        loop_watch.stop()
        await worker.close()
        heartbeat.stop()


def main() -> None:
    """Runs one group after another, each in a fork; any exit but 0 of a fork counts as a death."""
    configure_logging(settings_or_exit("workers.quarantine"), "quarantine")
    serve(run_group)


if __name__ == "__main__":
    main()
