"""The journal of calls: written before, closed once, never lost to a stale lease."""

from __future__ import annotations

from factory.domain.state import State
from factory.services import Services
from factory.store import journal
from tests.integration.store.samples import (
    BROKE,
    ask,
    claim_one,
    close_call,
    end,
    finish,
    given_job,
    record_call,
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
