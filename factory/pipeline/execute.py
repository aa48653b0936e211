"""Executing jobs: claim, perform, report."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import UUID

from factory.domain.job import ClaimedJob, JobError, Kind, Outcome, new_id, public_id
from factory.domain.state import State
from factory.errors import DeadlineExceeded, FactoryError, JobFailure
from factory.llm.catalog import Catalog
from factory.log import job_id as logged_job_id
from factory.pipeline.calls import Result, close_calls, never_sent
from factory.pipeline.completion import complete, first_call
from factory.pipeline.delivery import deliver
from factory.pipeline.embedding import embed, find_nearest
from factory.pipeline.finish import finish_jobs, outcome_of
from factory.pipeline.worker import Worker
from factory.store import journal, moves
from factory.store.database import Tx
from factory.store.journal import Call, CallEnd

Handler = Callable[[Worker, ClaimedJob], Awaitable[Result]]
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
    claim = Claim(worker.id, job_id, worker.catalog, worker.quarantine)
    claiming = worker.writer.write(claim_jobs, claim)
    try:
        job = await asyncio.shield(claiming)
    except asyncio.CancelledError:
        job = await claiming
        if job:
            await _report(worker, job, Ending(_stopped(worker, job), _unsent(worker, job)))
        return None
    if job and not worker.holds_leases():
        await _report(worker, job, Ending(_given_back(job), _unsent(worker, job)))
        return None
    return job


def _unsent(worker: Worker, job: ClaimedJob) -> CallEnd | None:
    """The end of the call that was opened with the claim, for a job that never came to it."""
    call = _first_call(worker.catalog, job, job.first_call) if job.first_call else None
    return never_sent(call) if call else None


async def _perform(worker: Worker, job: ClaimedJob) -> Ending:
    """The handler's result or what its failure means. This is where a job ends, whatever happens."""
    try:
        async with asyncio.timeout(job.seconds_left):
            result = await HANDLERS[job.kind](worker, job)
    except asyncio.CancelledError:
        return Ending(_stopped(worker, job))
    except TimeoutError:
        late = DeadlineExceeded("the job's deadline passed while it ran")
        return Ending(outcome_of(job, late))
    except FactoryError as error:
        log.info("attempt %d of %d failed: %s", job.attempt, job.max_attempts, error)
        return Ending(outcome_of(job, error))
    except Exception as error:
        log.exception("attempt %d of %d broke", job.attempt, job.max_attempts)
        broken = JobFailure(f"internal error: {type(error).__name__}")
        return Ending(outcome_of(job, broken))
    succeeded = Outcome(job.id, job.lease_token, State.SUCCEEDED, output=result.output)
    return Ending(succeeded, result.call)


def _stopped(worker: Worker, job: ClaimedJob) -> Outcome:
    """A draining worker gives the job back; otherwise somebody cancelled it."""
    if worker.draining and not worker.unwanted(job.id):
        return _given_back(job)
    by = "its owner" if worker.unwanted(job.id) else "an operator"
    error = JobError("cancelled", f"cancelled by {by} while it ran", retryable=False)
    return Outcome(job.id, job.lease_token, State.CANCELLED, error=error)


def _given_back(job: ClaimedJob) -> Outcome:
    return Outcome(job.id, job.lease_token, State.QUEUED, spends_attempt=False)


async def _report(worker: Worker, job: ClaimedJob, ending: Ending) -> State | None:
    """Moves the job on, and gives its new state. From here on a cancellation comes too late."""
    with suppress(asyncio.CancelledError):
        try:
            return await _end(worker, ending)
        except Exception as error:
            # Its worker lives, so no reaper would ever take the job back.
            log.exception("the outcome could not be stored")
            failure = JobFailure(f"the outcome could not be stored: {type(error).__name__}")
            return await _end(worker, _without_output(ending, failure))
    return None


def _without_output(ending: Ending, error: JobFailure) -> Ending:
    """What was paid is recorded, whatever it was that Postgres refused."""
    outcome, call = ending.outcome, ending.call
    return Ending(
        Outcome(outcome.job_id, outcome.lease_token, State.FAILED, error=JobError.of(error)),
        call and replace(call, output=None, error_type=error.type),
    )


async def _end(worker: Worker, ending: Ending) -> State | None:
    state = await worker.writer.commit(end_attempts, ending)
    if state is None:
        log.warning("the lease is stale: another attempt owns the job now")
    worker.poker.poke()
    return state


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ends, and the call that it ends with, if it does."""

    outcome: Outcome
    call: CallEnd | None = None


def end_attempts(tx: Tx, endings: list[Ending]) -> Sequence[State | None]:
    """Statement for the writer: the new state of each job, None where its lease was stale.

    The calls are closed first, and by whom ever: what was paid is recorded though the job is another's by
    now, and a job's usage is the sum of its calls.
    """
    calls = [ending.call for ending in endings if ending.call]
    if calls:
        close_calls(tx, calls)
    return finish_jobs(tx, [ending.outcome for ending in endings])


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker would like to run."""

    worker_id: UUID
    job_id: UUID
    catalog: Catalog
    quarantine: bool = False
    call_id: UUID = field(default_factory=new_id)
    """Of the call that the job may begin with; the same when the claim is made again."""


def claim_jobs(tx: Tx, claims: list[Claim]) -> Sequence[ClaimedJob | None]:
    """Statement for the writer: the claims of one worker, and the intents of the jobs' first calls."""
    taken = moves.claim(
        tx,
        claims[0].worker_id,
        [claim.job_id for claim in claims],
        [claim.call_id for claim in claims],
        quarantine=claims[0].quarantine,
    )
    claimed = {job.id: job for job in taken}
    calls = [
        call
        for claim in claims
        if (job := claimed.get(claim.job_id))
        and (call := _first_call(claim.catalog, job, claim.call_id))
    ]
    if calls:
        journal.open_calls(tx, calls)
    for call in calls:
        claimed[call.job_id] = replace(claimed[call.job_id], first_call=call.id)
    return [claimed.get(claim.job_id) for claim in claims]


def _first_call(catalog: Catalog, job: ClaimedJob, call_id: UUID) -> Call | None:
    return first_call(catalog, job, call_id) if job.kind is Kind.COMPLETION else None
