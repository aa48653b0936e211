"""Executes jobs: claim, perform, report."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import UUID

from factory.calls.ends import broken_words, never_sent
from factory.calls.journal import settle_usage
from factory.domain.job import ClaimedJob, JobError, Outcome, public_id
from factory.domain.state import State
from factory.domain.waiting import WaitFor
from factory.errors import AttemptBroken, DeadlineExceeded, FactoryError, JobFailure
from factory.kinds.runners import RUNNERS
from factory.log import job_id as logged_job_id
from factory.pipeline.finish import outcome_of
from factory.pipeline.run.attempt import Claim, Ending, claim_jobs, end_attempts, opened_call
from factory.pipeline.run.worker import OPERATOR, Worker
from factory.store.journal import CallEnd
from factory.store.size import size_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observer:
    """Called for each job of an `execute`, on its loop; must not block."""

    started: Callable[[ClaimedJob], None] = lambda _job: None
    ended: Callable[[UUID, State | None, JobError | None], None] = lambda _id, _state, _error: None
    """Takes the job's new state, None if it was not claimed here or its lease was stale, and its error."""


NOBODY = Observer()


async def execute(worker: Worker, job_ids: Sequence[UUID], observer: Observer = NOBODY) -> None:
    """Runs those of the jobs that can be claimed, all at once.

    Returns when all have ended; raises then what broke one of them.
    """
    runs = [_run(worker, job_id, observer) for job_id in job_ids]
    if len(runs) == 1:
        await _run_here(runs[0])
        return
    for broken in await asyncio.gather(*runs, return_exceptions=True):
        if broken is not None:
            raise broken


async def _run_here(run: Awaitable[None]) -> None:
    """Runs a single job without a task of its own, which would cost 2 KB: most messages carry one job."""
    await run
    task = asyncio.current_task()
    # The job has handled its cancellation; the caller must see it as well.
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _run(worker: Worker, job_id: UUID, observer: Observer) -> None:
    logged_job_id.set(public_id(job_id))
    state = error = None
    try:
        with worker.holding(job_id) as held:
            job = await _claim(worker, job_id) if held else None
            if job:
                observer.started(job)
                ending = await _perform(worker, job)
                error = ending.outcome.error
                state = await _report(worker, job, ending)
    finally:
        observer.ended(job_id, state, error)


async def _claim(worker: Worker, job_id: UUID) -> ClaimedJob | None:
    """The job, if this worker got it. A claim that is cancelled half-way is given back.

    So is one that waited for Postgres until the leases had expired: the reaper would take it for a dead worker's.
    """
    if not await worker.until_leased():
        return None
    means = worker.means
    claim = Claim(worker.id, job_id, means.catalog, worker.quarantine, means.gate.refuses)
    claiming = worker.committer.offer(claim_jobs, claim)
    try:
        job = await claiming.result()
    except asyncio.CancelledError:
        job = None if claiming.withdraw() else await claiming.result()
        if job:
            await _report(worker, job, Ending(_stopped(worker, job), _unsent(worker, job)))
        return None
    if job and not worker.holds_leases():
        await _report(worker, job, Ending(_given_back(job), _unsent(worker, job)))
        return None
    return job


def _unsent(worker: Worker, job: ClaimedJob) -> CallEnd | None:
    """The end of the call that was opened with the claim, if the job did not get as far as making it."""
    call = opened_call(worker.means.catalog, job, job.first_call) if job.first_call else None
    return never_sent(call) if call else None


async def _perform(worker: Worker, job: ClaimedJob) -> Ending:
    """The outcome of the job's kind: a result, a wait or a failure. Every attempt ends here."""
    deadline = asyncio.timeout(job.seconds_left)
    try:
        async with deadline:
            result = await RUNNERS[job.kind].run(worker.means, job)
    except asyncio.CancelledError:
        return Ending(_stopped(worker, job))
    except FactoryError as error:
        error.message = worker.means.redactor.public(error.message)
        log.info("attempt %d of %d failed: %s", job.attempt, job.max_attempts, error.message)
        return Ending(_outcome(worker, job, error))
    # A bug ends its own attempt and nothing else.
    except Exception as error:
        if isinstance(error, TimeoutError) and deadline.expired():
            late = DeadlineExceeded("the job's deadline passed while it ran")
            return Ending(_outcome(worker, job, late))
        log.exception("attempt %d of %d broke", job.attempt, job.max_attempts)
        # If the call that the claim opened was made, its end is recorded by now.
        broken = _outcome(worker, job, AttemptBroken(broken_words(error)))
        return Ending(broken, _unsent(worker, job))
    if isinstance(result, WaitFor):
        waits = Outcome(job.id, job.lease_token, State.WAITING, waiting_for=result)
        return Ending(waits, _unsent(worker, job))
    succeeded = Outcome(job.id, job.lease_token, State.SUCCEEDED, output=result.output)
    return Ending(succeeded, result.call)


def _outcome(worker: Worker, job: ClaimedJob, error: FactoryError) -> Outcome:
    outcome = outcome_of(job, error, worker.services.settings.rate_limit_give_up_s)
    if outcome.error is None or not outcome.error.answer:
        return outcome
    told = {
        name: text and worker.means.redactor.clean(text)
        for name, text in outcome.error.answer.items()
    }
    return replace(outcome, error=replace(outcome.error, answer=told))


def _stopped(worker: Worker, job: ClaimedJob) -> Outcome:
    """A draining worker gives the job back; otherwise it was cancelled."""
    by = worker.cancelled_by(job.id)
    if worker.draining and not by:
        return _given_back(job)
    by = by or OPERATOR
    error = JobError("cancelled", f"cancelled by {by} while it ran", retryable=False)
    return Outcome(job.id, job.lease_token, State.CANCELLED, error=error)


def _given_back(job: ClaimedJob) -> Outcome:
    return Outcome(job.id, job.lease_token, State.QUEUED, spends_attempt=False)


async def _report(worker: Worker, job: ClaimedJob, ending: Ending) -> State | None:
    """Moves the job on, and gives its new state. A cancellation is too late from here on."""
    if job.parent_id:
        ending = replace(ending, outcome=replace(ending.outcome, parent_id=job.parent_id))
    with suppress(asyncio.CancelledError):
        try:
            return await _end(worker, ending)
        # Whatever Postgres refused: no reaper would take the job back, as its worker lives.
        except Exception as error:
            log.exception("the outcome could not be stored")
            return await _fail(worker, ending, error)
    return None


async def _fail(worker: Worker, ending: Ending, reason: Exception) -> State | None:
    """Fails a job whose outcome Postgres refused: without its output; if need be without the end of its call."""
    error = JobFailure(f"the outcome could not be stored: {type(reason).__name__}")
    outcome, call = ending.outcome, ending.call
    failed = Outcome(
        outcome.job_id,
        outcome.lease_token,
        State.FAILED,
        error=JobError.of(error),
        parent_id=outcome.parent_id,
    )
    if call:
        try:
            return await _end(
                worker, Ending(failed, replace(call, output=None, error_type=error.type))
            )
        # The job must end even if the call's end cannot be stored: it stays unknown spend.
        except Exception:
            log.exception("what the call cost could not be stored")
    return await _end(worker, Ending(failed))


async def _end(worker: Worker, ending: Ending) -> State | None:
    size = size_of(ending.outcome.output)
    state = await worker.committer.commit(end_attempts, ending, size)
    if state is None:
        log.warning("the lease is stale: another attempt owns the job now")
        # The job may have ended before the end of this call was written.
        await worker.committer.commit(settle_usage, ending.outcome.job_id)
    worker.wake_up.send()
    return state
