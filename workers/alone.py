"""Quarantine: a job whose workers died runs in a process of its own, `python -m workers.alone JOB WORKER`.

If that process dies too, the worker that started it declares the job poison. If both die at once, the
lease runs out as always and the job comes back here: nobody saw the job kill anything.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from uuid import UUID

from factory.config import load_settings
from factory.domain.job import JobError, Outcome, new_id, parse_id
from factory.domain.state import State
from factory.errors import PoisonJob
from factory.llm.catalog import load_catalog
from factory.log import configure_logging
from factory.pipeline.execute import execute
from factory.pipeline.finish import finish_jobs
from factory.pipeline.worker import Worker
from factory.services import connect
from factory.store import hints, leases
from factory.store.database import Tx
from workers.heartbeat import Heartbeat

log = logging.getLogger(__name__)


class Quarantine:
    """Runs jobs alone, one after another, for a worker. Belongs to the worker's loop."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._one = asyncio.Lock()

    async def run(self, job_id: str) -> None:
        """Returns when the job's process has ended, however it did.

        A process costs seconds, so a hint that has become stale in the line starts none; nor does a
        worker that drains. Its hint is lost, and goes out again.
        """
        async with self._one:
            due = await self._worker.writer.write(still_due, parse_id(job_id))
            if not due or self._worker.draining:
                return
            process_id = new_id()
            log.warning("job %s runs alone: its workers died", job_id)
            code = await _run_process(job_id, process_id)
        if code != 0:
            log.error("job %s ended its process with %d", job_id, code)
            await self._worker.writer.commit(declare_poison, process_id)


async def _run_process(job_id: str, worker_id: UUID) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "workers.alone",
        job_id,
        str(worker_id),
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        return await process.wait()
    except asyncio.CancelledError:
        process.kill()
        raise


def still_due(tx: Tx, job_ids: list[UUID]) -> Sequence[bool]:
    """Statement for the writer: whether each job still waits to be run."""
    found = hints.due(tx, job_ids)
    return [job_id in found for job_id in job_ids]


def declare_poison(tx: Tx, worker_ids: list[UUID]) -> Sequence[None]:
    """Statement for the writer: fails what the dead processes held."""
    error = JobError.of(PoisonJob("the job killed its workers, and the process it ran in alone"))
    held = [one for worker_id in worker_ids for one in leases.held(tx, worker_id)]
    finish_jobs(
        tx,
        [
            Outcome(one.job_id, one.lease_token, State.FAILED, error=error, worker_died=True)
            for one in held
        ],
    )
    return [None] * len(worker_ids)


async def _run_alone(job_id: UUID, worker_id: UUID) -> None:
    services = connect(load_settings(), "alone")
    catalog = load_catalog(services.settings.extra_models)
    worker = Worker(services, catalog, worker_id, alone=True)
    heartbeat = Heartbeat(services, worker, lanes=(), slots=0)
    heartbeat.start()
    try:
        await execute(worker, [job_id])
    finally:
        await worker.close()
        heartbeat.stop()


def main() -> None:
    """Runs the one job to its end; any other end is a death."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format, "alone")
    asyncio.run(_run_alone(parse_id(sys.argv[1]), UUID(sys.argv[2])))


if __name__ == "__main__":
    main()
