"""The journal of calls: written before, closed once, never lost to a stale lease."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from factory.domain.job import ClaimedJob
from factory.domain.money import Usage
from factory.domain.state import State
from factory.services import Services
from factory.store import journal, moves
from tests.integration.store.samples import (
    BROKE,
    ask,
    claim_one,
    close_call,
    end,
    finish,
    given_job,
    record_call,
    waits_for_locks,
)


def test_a_call_is_closed_once(services: Services) -> None:
    job = claim_one(services, given_job(services))
    call_id = record_call(services, job, closed=False)
    assert close_call(services, call_id, job, cost_micros=70) == {call_id}
    assert close_call(services, call_id, job, cost_micros=99) == set()
    [row] = ask(services, "SELECT status, cost_micros FROM llm_calls")
    assert (row.status, row.cost_micros) == ("succeeded", 70)


def test_a_finished_step_keeps_its_first_output(services: Services) -> None:
    job = claim_one(services, given_job(services))
    record_call(services, job, output={"text": "first"})
    record_call(services, job, output={"text": "second"})
    [row] = ask(services, "SELECT output FROM job_steps")
    assert row.output == {"text": "first"}


def test_a_failed_call_finishes_no_step(services: Services) -> None:
    job = claim_one(services, given_job(services))
    record_call(services, job, error_type="provider_refused")
    assert ask(services, "SELECT FROM job_steps") == []


def test_a_late_worker_records_the_step_that_it_paid_for(services: Services) -> None:
    late = claim_one(services, given_job(services))
    call_id = record_call(services, late, closed=False)
    finish(services, end(late, State.QUEUED, error=BROKE))
    close_call(services, call_id, late, cost_micros=70, output={"text": "paid"})
    again = claim_one(services, late.id)
    assert again.steps == {"answer": {"text": "paid"}}
    assert again.spent_micros == 70


def test_the_same_intent_twice_is_one_call(services: Services) -> None:
    job = claim_one(services, given_job(services))
    call = journal.Call(
        job.id, job.id, job.lease_token, job.project_id, "answer", 1, "openai", "gpt-4o-mini"
    )
    for _ in range(2):
        with services.database.transaction() as tx:
            assert journal.open_calls(tx, [call]) == {call.id}
    assert len(ask(services, "SELECT FROM llm_calls")) == 1


def test_without_the_lease_no_intent_is_written(services: Services) -> None:
    job = claim_one(services, given_job(services))
    finish(services, end(job, State.QUEUED, error=BROKE))
    claim_one(services, job.id)
    call = journal.Call(
        job.id, job.id, job.lease_token, job.project_id, "answer", 1, "openai", "gpt-4o-mini"
    )
    with services.database.transaction() as tx:
        assert journal.open_calls(tx, [call]) == set()
    assert ask(services, "SELECT FROM llm_calls") == []


def test_a_call_without_an_end_is_abandoned_when_its_attempt_is_over(services: Services) -> None:
    job = claim_one(services, given_job(services))
    record_call(services, job, closed=False)
    record_call(services, job, cost_micros=70)
    assert _abandoned(services) == 0
    finish(services, end(job, State.QUEUED, error=BROKE))
    assert _abandoned(services) == 1
    claim_one(services, job.id)
    assert _abandoned(services) == 1


def _abandoned(services: Services) -> int:
    with services.database.transaction() as tx:
        return journal.open_calls_left(tx)


def _sums(services: Services) -> tuple[int, int | None, int]:
    [row] = ask(services, "SELECT input_tokens, cost_micros, unknown_calls FROM job_outcomes")
    return row.input_tokens, row.cost_micros, row.unknown_calls


def _paid(call_id: UUID, job: ClaimedJob, cost_micros: int) -> journal.CallEnd:
    usage = Usage(input_tokens=cost_micros)
    return journal.CallEnd(
        call_id, job.id, "answer", "openai", "gpt-4o-mini", usage, cost_micros, latency_ms=5
    )


def test_usage_that_two_settle_at_once_ends_right(services: Services) -> None:
    job = claim_one(services, given_job(services))
    first, second = (record_call(services, job, closed=False) for _ in range(2))
    finish(services, end(job, State.FAILED, error=BROKE))
    assert _sums(services) == (0, None, 2)

    with ThreadPoolExecutor(1) as other:
        with services.database.transaction() as tx:
            journal.close_calls(tx, [_paid(first, job, 70)])
            closing = other.submit(_close, services, _paid(second, job, 30))
            _until(lambda: closing.done() or waits_for_locks(services))
        closing.result(60)
    assert _sums(services) == (100, 100, 0)


def test_a_late_end_beside_the_jobs_own_ends_right(services: Services) -> None:
    job = claim_one(services, given_job(services))
    late = record_call(services, job, closed=False)
    own = record_call(services, job, closed=False)

    with ThreadPoolExecutor(1) as other:
        with services.database.transaction() as tx:
            journal.close_calls(tx, [_paid(own, job, 30)])
            moves.finish(tx, [end(job, State.SUCCEEDED, output={"text": "x"})])
            closing = other.submit(_close_late, services, _paid(late, job, 70))
            _until(lambda: closing.done() or waits_for_locks(services))
        closing.result(60)
    assert _sums(services) == (100, 100, 0)


def test_the_jobs_own_end_beside_a_late_one_ends_right(services: Services) -> None:
    job = claim_one(services, given_job(services))
    late = record_call(services, job, closed=False)

    with ThreadPoolExecutor(1) as other:
        with services.database.transaction() as tx:
            journal.close_calls(tx, [_paid(late, job, 70)])
            ending = other.submit(finish, services, end(job, State.SUCCEEDED, output={"t": 1}))
            _until(lambda: ending.done() or waits_for_locks(services))
        ending.result(60)
    _settle(services, job)
    assert _sums(services) == (70, 70, 0)


def _close_late(services: Services, ending: journal.CallEnd) -> None:
    """As a worker does that learns that its lease is stale."""
    _close(services, ending)
    with services.database.transaction() as tx:
        journal.settle(tx, [ending.job_id])


def _settle(services: Services, job: ClaimedJob) -> None:
    with services.database.transaction() as tx:
        journal.settle(tx, [job.id])


def _close(services: Services, ending: journal.CallEnd) -> None:
    with services.database.transaction() as tx:
        journal.close_calls(tx, [ending])


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
