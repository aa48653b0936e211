"""The end of an attempt: what an error means for the job, and the one statement that moves it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from factory import metrics
from factory.domain.job import ClaimedJob, JobError, Outcome
from factory.domain.retry import delay_s
from factory.domain.state import State
from factory.errors import FactoryError, LeaseLost, NewerFormat, RateLimited
from factory.metrics import Delta, delta
from factory.store import counters, moves, waits
from factory.store.database import Tx
from factory.store.finished import finished_before
from factory.store.moves import Moved


def outcome_of(job: ClaimedJob, error: FactoryError, longest_wait_s: float) -> Outcome:
    """Another attempt, if that can help; else failed. A wait for a rate limit, a lost lease and a newer format spend none.

    A job that has met nothing but rate limits for `longest_wait_s` seconds is failed, and its error says so.
    """
    if isinstance(error, RateLimited) and (job.deferred_s or 0.0) >= longest_wait_s:
        return _failed(job, _given_up(error, longest_wait_s))
    waits = isinstance(error, RateLimited | LeaseLost | NewerFormat)
    if not error.retryable or (job.attempt >= job.max_attempts and not waits):
        return _failed(job, JobError.of(error))
    return Outcome(
        job.id,
        job.lease_token,
        State.QUEUED,
        error=JobError.of(error),
        # Jitter needs no secrecy.
        delay_s=delay_s(error, job.attempt, job.deferrals, random.random),
        spends_attempt=not waits,
    )


def _failed(job: ClaimedJob, error: JobError) -> Outcome:
    return Outcome(job.id, job.lease_token, State.FAILED, error=error)


def _given_up(error: RateLimited, longest_wait_s: float) -> JobError:
    """Our message, followed by the provider's last one."""
    waited = f"rate limited for {longest_wait_s / 3600:g} hours (RATE_LIMIT_GIVE_UP_S), given up"
    return replace(JobError.of(error), message=f"{waited}: {error.message}"[:2000])


def finish_jobs(
    tx: Tx, outcomes: list[Outcome], calls: Sequence[Delta] = ()
) -> Sequence[State | None]:
    """The new state of each job, None where its lease was stale; counts what ended, and `calls`.

    A move that the same lease has made before gives its state again: the connection may have broken during that commit.
    """
    if any(_may_have_parent(one) for one in outcomes):
        waits.lock_families(tx, [one.job_id for one in outcomes])
    finished = moves.finish(tx, outcomes)
    moved = {(one.id, one.lease_token): one for one in _with_wake_ups(tx, finished)}
    ended = ended_deltas(one for one in moved.values() if one.state.terminal)
    counters.add(tx, metrics.add_up([*ended, *calls]))
    left = [one for one in outcomes if (one.job_id, one.lease_token) not in moved]
    moved |= {(one.id, one.lease_token): one for one in finished_before(tx, left)}
    found = [moved.get((one.job_id, one.lease_token)) for one in outcomes]
    return [one.state if one else None for one in found]


def ended_deltas(moved: Iterable[Moved]) -> list[Delta]:
    """What the ends of jobs count for."""
    ends = Counter((one.lane, one.state) for one in moved)
    return [
        delta(metrics.JOBS_FINISHED, count, lane=lane, state=state)
        for (lane, state), count in ends.items()
    ]


def _may_have_parent(outcome: Outcome) -> bool:
    """A worker knows its jobs' parents; upkeep and owners do not."""
    return bool(outcome.parent_id) or outcome.lease_token is None or outcome.worker_died


def _with_wake_ups(tx: Tx, moved: Sequence[Moved]) -> Sequence[Moved]:
    """The jobs in their new states, after parents whose children have all ended were queued; a parent may be among them."""
    parents = [one.parent_id for one in moved if one.parent_id and one.state.terminal]
    parents += [one.id for one in moved if one.state is State.WAITING]
    woken = waits.wake_parents(tx, parents) if parents else frozenset()
    return [replace(one, state=State.QUEUED) if one.id in woken else one for one in moved]
