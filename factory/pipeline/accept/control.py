"""What an owner may do to a job: cancel it, retry it."""

from __future__ import annotations

from uuid import UUID

from factory.domain.job import Outcome
from factory.domain.principal import Principal
from factory.domain.state import State
from factory.errors import Conflict, Gone, NotFound
from factory.pipeline.finish import finish_jobs
from factory.services import Services
from factory.store import archive, jobs, moves, waits
from factory.store.database import Tx
from factory.store.jobs import JobView


def cancel(services: Services, who: Principal, job_id: UUID) -> JobView:
    """Ends a queued or waiting job at once; marks a running one, which its worker ends within 3 s.

    Cancelling a cancelled job changes nothing. Raises NotFound; Conflict when it has ended otherwise.
    """
    with services.database.transaction(who) as tx:
        waits.lock_families(tx, [job_id])
        before = moves.request_cancel(tx, who.project_id, job_id)
        if before in (State.QUEUED, State.WAITING):
            finish_jobs(tx, [Outcome(job_id, None, State.CANCELLED)])
        job = _existing(tx, who, job_id)
    if before is None and job.state is not State.CANCELLED:
        raise Conflict(f"the job has already {job.state}; it cannot be cancelled")
    return job


def retry(services: Services, who: Principal, job_id: UUID) -> JobView:
    """Queues a failed job again with fresh attempts, an archived one too.

    Raises NotFound; Conflict unless it failed; Gone when its input has been removed.
    """
    with services.database.transaction(who) as tx:
        moved = moves.retry(tx, who.project_id, job_id) or (
            archive.restore(tx, who.project_id, job_id) and moves.retry(tx, who.project_id, job_id)
        )
        job = _existing(tx, who, job_id)
    if job.expired:
        raise Gone("the job's input has been removed; submit it anew", param="id")
    if not moved:
        raise Conflict(f"the job is {job.state}; only a failed job can be retried")
    return job


def _existing(tx: Tx, who: Principal, job_id: UUID) -> JobView:
    job = jobs.get(tx, who.project_id, job_id)
    if job is None:
        raise NotFound("there is no such job", param="id")
    return job
