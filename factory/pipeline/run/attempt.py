"""The two writes of an attempt: its claim, and its end.

Each is one batch statement, which also writes what the journal must know of a call at that moment: a job of one
call is committed twice and not four times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from factory import metrics
from factory.calls.journal import deltas, record_ends
from factory.domain.job import ClaimedJob, Outcome, new_id
from factory.domain.state import State
from factory.kinds.runners import RUNNERS
from factory.llm.catalog import Catalog
from factory.metrics import Delta
from factory.pipeline.finish import ended_deltas, finish_jobs
from factory.store import counters, intents, journal, moves, successes, waits
from factory.store.database import Tx
from factory.store.journal import Call, CallEnd, Step
from factory.store.successes import Success


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker wants to run."""

    worker_id: UUID
    job_id: UUID
    catalog: Catalog
    quarantine: bool = False
    refuses: Callable[[Call], bool] = lambda _call: False
    """Whether the gate would refuse the job's first call now: then no intent goes with the claim."""
    call_id: UUID = field(default_factory=new_id)
    """Id of the call that the job may begin with; the same when the claim is repeated."""


def claim_jobs(tx: Tx, claims: list[Claim]) -> Sequence[ClaimedJob | None]:
    """Batch statement: the claims of one worker, and the intents of the jobs' first calls."""
    taken = moves.claim(
        tx,
        claims[0].worker_id,
        [claim.job_id for claim in claims],
        [claim.call_id for claim in claims],
        quarantine=claims[0].quarantine,
    )
    claimed = {job.id: job for job in taken}
    calls = {
        call.job_id: call
        for claim in claims
        if (job := claimed.get(claim.job_id))
        and (call := opened_call(claim.catalog, job, claim.call_id))
        and not claim.refuses(call)
    }
    _write_intents(tx, taken, calls)
    return [
        job and _with_first_call(job, calls.get(job.id))
        for job in (claimed.get(claim.job_id) for claim in claims)
    ]


def _with_first_call(job: ClaimedJob, call: Call | None) -> ClaimedJob:
    first_call = call.id if call else None
    return job if job.first_call == first_call else replace(job, first_call=first_call)


def _write_intents(tx: Tx, jobs: Sequence[ClaimedJob], calls: Mapping[UUID, Call]) -> None:
    """Where the claim has written something else than the call that the job begins with, or nothing."""
    written = {job.id for job in jobs if job.first_call}
    right = {job.id for job in jobs if (call := calls.get(job.id)) and _is_in_row(job, call)}
    if wrong := written - right:
        intents.withdraw(tx, list(wrong))
    if missing := [call for job_id, call in calls.items() if job_id not in right]:
        journal.open_calls(tx, missing)


def _is_in_row(job: ClaimedJob, call: Call) -> bool:
    """Whether the job's row has this call's intent, and says all of it."""
    said = (job.first_call, job.provider, job.model, intents.FIRST_STEP)
    return said == (call.id, call.provider, f"{call.provider}/{call.model}", call.step_key)


def opened_call(catalog: Catalog, job: ClaimedJob, call_id: UUID) -> Call | None:
    """The call that the job begins with, as its claim writes it; None if it begins with none."""
    return RUNNERS[job.kind].first_call(catalog, job, call_id)


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome of an attempt, and the end of the call that gave it, if one did."""

    outcome: Outcome
    call: CallEnd | None = None


def end_attempts(tx: Tx, endings: list[Ending]) -> Sequence[State | None]:
    """Batch statement: the new state of each job, None where its lease was stale.

    Jobs that succeed go straight into the archive, where they can; all others move on among the live ones.
    """
    archived, counted = _archive(tx, endings)
    left = [ending for ending in endings if _lease(ending.outcome) not in archived]
    if not left:
        counters.add(tx, metrics.add_up(counted))
        return [State.SUCCEEDED] * len(endings)
    states = iter(_move(tx, left, counted))
    return [
        State.SUCCEEDED if _lease(ending.outcome) in archived else next(states)
        for ending in endings
    ]


Lease = tuple[UUID, int | None]


def _lease(outcome: Outcome) -> Lease:
    return outcome.job_id, outcome.lease_token


def _archive(tx: Tx, endings: Sequence[Ending]) -> tuple[set[Lease], list[Delta]]:
    """Ends those that can go straight into the archive; gives their leases, and what is to be counted."""
    direct = {_lease(one.outcome): one for one in endings if _may_go_straight(one)}
    if not direct:
        return set(), []
    if len(direct) < len(endings) or any(one.outcome.parent_id for one in endings):
        # Two statements end the set: its rows are locked in order of id before.
        waits.lock_families(tx, [one.outcome.job_id for one in endings])
    ends = [Success(one.outcome, one.call) for one in direct.values()]
    archived = {(one.moved.id, one.moved.lease_token): one for one in successes.finish(tx, ends)}
    closed = [
        call for lease, one in archived.items() if one.closed and (call := direct[lease].call)
    ]
    return set(archived), ended_deltas(one.moved for one in archived.values()) + deltas(closed)


def _may_go_straight(ending: Ending) -> bool:
    return _is_result(ending.outcome) and not (ending.call and ending.call.error_type)


def _move(tx: Tx, endings: Sequence[Ending], counted: Sequence[Delta]) -> Sequence[State | None]:
    """Calls are closed first, even by a worker that lost its lease: what was paid is recorded, and a job's usage is the
    sum of its calls. The final step is journaled only if the job did not succeed. `counted`: to be counted as well.
    """
    calls = [_last_call(ending.outcome, ending.call) for ending in endings if ending.call]
    if calls and (len(endings) > 1 or endings[0].outcome.parent_id):
        # A call that ends may stand in its job's row: all rows are locked in order of id before.
        waits.lock_families(tx, [ending.outcome.job_id for ending in endings])
    closed = record_ends(tx, calls) if calls else []
    states = finish_jobs(tx, [ending.outcome for ending in endings], [*counted, *closed])
    lost = [
        ending.call
        for ending, state in zip(endings, states, strict=True)
        if ending.call and _is_result(ending.outcome) and state is not State.SUCCEEDED
    ]
    if lost:
        journal.record_steps(tx, [Step(one.job_id, one.step_key, one.output) for one in lost])
    return states


def _last_call(outcome: Outcome, call: CallEnd) -> CallEnd:
    return replace(call, output=None) if _is_result(outcome) else call


def _is_result(outcome: Outcome) -> bool:
    return outcome.state is State.SUCCEEDED
