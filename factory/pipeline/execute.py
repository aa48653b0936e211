"""Executing jobs: claim, perform, report."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from factory.domain.job import ClaimedJob, JobError, Kind, Outcome, public_id
from factory.domain.state import State
from factory.errors import DeadlineExceeded, FactoryError, JobFailure
from factory.log import job_id as logged_job_id
from factory.pipeline.completion import complete
from factory.pipeline.delivery import deliver
from factory.pipeline.embedding import embed, find_nearest
from factory.pipeline.finish import finish_jobs, outcome_of
from factory.pipeline.worker import Worker
from factory.store import moves
from factory.store.database import Tx

Handler = Callable[[Worker, ClaimedJob], Awaitable[Any]]
HANDLERS: Mapping[Kind, Handler] = {
    Kind.COMPLETION: complete,
    Kind.EMBEDDING: embed,
    Kind.SEARCH: find_nearest,
    Kind.WEBHOOK: deliver,
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observer:
    """Hears of each job of an `execute`, on its loop; what it does must not wait."""

    started: Callable[[ClaimedJob], None] = lambda _job: None
    ended: Callable[[UUID, State | None], None] = lambda _id, _state: None
    """The job's new state, None if it was not claimed here or its lease went stale."""


NOBODY = Observer()


async def execute(worker: Worker, job_ids: Sequence[UUID], observer: Observer = NOBODY) -> None:
    """Runs those of the jobs that can be claimed, all at once.

    Returns, or raises what broke one of them, when all have ended.
    """
    runs = (_run(worker, job_id, observer) for job_id in job_ids)
    for broken in await asyncio.gather(*runs, return_exceptions=True):
        if broken is not None:
            raise broken


async def _run(worker: Worker, job_id: UUID, observer: Observer) -> None:
    logged_job_id.set(public_id(job_id))
    state = None
    try:
        with worker.holding(job_id) as held:
            job = await _claim(worker, job_id) if held else None
            if job:
                observer.started(job)
                state = await _report(worker, job, await _perform(worker, job))
    finally:
        observer.ended(job_id, state)


async def _claim(worker: Worker, job_id: UUID) -> ClaimedJob | None:
    """The job, if it is this worker's now. A claim that is cancelled half-way is given back.

    So is one that had to wait for Postgres until the leases were over: to the reaper, a dead worker has it.
    """
    if not await worker.until_leased():
        return None
    claiming = worker.writer.write(claim_jobs, Claim(worker.id, job_id, worker.quarantine))
    try:
        job = await asyncio.shield(claiming)
    except asyncio.CancelledError:
        job = await claiming
        if job:
            await _report(worker, job, _stopped(worker, job))
        return None
    if job and not worker.holds_leases():
        await _report(worker, job, _given_back(job))
        return None
    return job


async def _perform(worker: Worker, job: ClaimedJob) -> Outcome:
    """The handler's result or what its failure means. This is where a job ends, whatever happens."""
    try:
        async with asyncio.timeout(job.seconds_left):
            output = await HANDLERS[job.kind](worker, job)
    except asyncio.CancelledError:
        return _stopped(worker, job)
    except TimeoutError:
        return outcome_of(job, DeadlineExceeded("the job's deadline passed while it ran"))
    except FactoryError as error:
        log.info("attempt %d of %d failed: %s", job.attempt, job.max_attempts, error)
        return outcome_of(job, error)
    except Exception as error:
        log.exception("attempt %d of %d broke", job.attempt, job.max_attempts)
        return outcome_of(job, JobFailure(f"internal error: {type(error).__name__}"))
    return Outcome(job.id, job.lease_token, State.SUCCEEDED, output=output)


def _stopped(worker: Worker, job: ClaimedJob) -> Outcome:
    """A draining worker gives the job back; otherwise somebody cancelled it."""
    if worker.draining and not worker.unwanted(job.id):
        return _given_back(job)
    by = "its owner" if worker.unwanted(job.id) else "an operator"
    error = JobError("cancelled", f"cancelled by {by} while it ran", retryable=False)
    return Outcome(job.id, job.lease_token, State.CANCELLED, error=error)


def _given_back(job: ClaimedJob) -> Outcome:
    return Outcome(job.id, job.lease_token, State.QUEUED, spends_attempt=False)


async def _report(worker: Worker, job: ClaimedJob, outcome: Outcome) -> State | None:
    """Moves the job on, and gives its new state. From here on a cancellation comes too late."""
    with suppress(asyncio.CancelledError):
        try:
            return await _finish(worker, outcome)
        except Exception as error:
            # Its worker lives, so no reaper would ever take the job back.
            log.exception("the outcome could not be stored")
            failure = JobFailure(f"the outcome could not be stored: {type(error).__name__}")
            return await _finish(worker, _failed(job, failure))
    return None


def _failed(job: ClaimedJob, error: JobFailure) -> Outcome:
    return Outcome(job.id, job.lease_token, State.FAILED, error=JobError.of(error))


async def _finish(worker: Worker, outcome: Outcome) -> State | None:
    state = await worker.writer.commit(finish_jobs, outcome)
    if state is None:
        log.warning("the lease is stale: another attempt owns the job now")
    worker.poker.poke()
    return state


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker would like to run."""

    worker_id: UUID
    job_id: UUID
    quarantine: bool = False


def claim_jobs(tx: Tx, claims: list[Claim]) -> Sequence[ClaimedJob | None]:
    """Statement for the writer: the claims of one worker."""
    job_ids = [claim.job_id for claim in claims]
    taken = moves.claim(tx, claims[0].worker_id, job_ids, quarantine=claims[0].quarantine)
    claimed = {job.id: job for job in taken}
    return [claimed.get(job_id) for job_id in job_ids]
