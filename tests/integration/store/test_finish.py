"""How attempts end: results, money, attempts and the events that are owed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from factory.domain.job import ClaimedJob, JobError, Kind, Outcome
from factory.domain.money import Usage
from factory.domain.retry import WEBHOOK_MAX_ATTEMPTS
from factory.domain.state import TERMINAL, State
from factory.pipeline.finish import finish_jobs
from factory.services import Services
from factory.store import leases, moves
from factory.store.codec import told_job
from tests.integration.store.samples import (
    BROKE,
    HOOK,
    PROJECT,
    ask,
    claim,
    claim_one,
    close_call,
    end,
    finish,
    given_job,
    given_jobs,
    given_state,
    given_worker,
    record_call,
    silence,
    state_of,
    view,
    webhooks_of,
)


def test_a_result_is_recorded_once(services: Services) -> None:
    job = claim_one(services, given_job(services))
    assert finish(services, end(job, State.SUCCEEDED, output={"text": "first"}))
    assert finish(services, end(job, State.SUCCEEDED, output={"text": "second"})) == []
    assert view(services, job.id).output == {"text": "first"}


def test_a_stale_lease_changes_nothing(services: Services) -> None:
    job = claim_one(services, given_job(services))
    finish(services, end(job, State.QUEUED, error=BROKE))
    current = claim_one(services, job.id)
    assert finish(services, end(job, State.SUCCEEDED, output={"text": "late"})) == []
    assert state_of(services, job.id) is State.RUNNING
    assert finish(services, end(current, State.SUCCEEDED, output={"text": "right"}))
    assert view(services, job.id).output == {"text": "right"}


@pytest.mark.parametrize("stale_first", [True, False])
def test_a_stale_outcome_beside_the_right_one_does_not_colour_it(
    services: Services, stale_first: bool
) -> None:
    job = claim_one(services, given_job(services))
    finish(services, end(job, State.QUEUED, error=BROKE))
    right = end(claim_one(services, job.id), State.SUCCEEDED, output={"text": "right"})
    outcomes = [end(job, State.FAILED, error=BROKE), right]
    finish(services, *(outcomes if stale_first else reversed(outcomes)))
    seen = view(services, job.id)
    assert (seen.state, seen.output, seen.error) == (State.SUCCEEDED, {"text": "right"}, None)


def test_the_same_outcome_twice_in_a_set_counts_once(services: Services) -> None:
    job = claim_one(services, given_job(services, webhook_url=HOOK))
    outcome = end(job, State.SUCCEEDED, output={"text": "hello"})
    assert [moved.id for moved in finish(services, outcome, outcome)] == [job.id]
    assert len(webhooks_of(services, job.id)) == 1


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.QUEUED])
def test_a_finish_that_is_made_again_is_known_as_made(services: Services, state: State) -> None:
    job = claim_one(services, given_job(services, webhook_url=HOOK))
    outcome = end(job, state)
    assert _write(services, outcome) == [state]
    assert _write(services, outcome) == [state]
    assert len(webhooks_of(services, job.id)) == state.terminal
    assert len(ask(services, "SELECT FROM counters")) == state.terminal


def test_a_retry_that_was_made_is_known_while_another_lease_holds_the_job(
    services: Services,
) -> None:
    job = claim_one(services, given_job(services))
    outcome = end(job, State.QUEUED, error=BROKE)
    _write(services, outcome)
    current = claim_one(services, job.id)
    assert _write(services, outcome) == [State.QUEUED]
    _write(services, end(current, State.SUCCEEDED))
    assert _write(services, outcome) == [None]


def test_a_lease_that_was_taken_away_has_finished_nothing(services: Services) -> None:
    job = claim_one(services, given_job(services, max_attempts=1))
    _write(services, end(job, State.FAILED, error=BROKE, worker_died=True))
    assert _write(services, end(job, State.FAILED, error=BROKE)) == [None]


def test_outcomes_of_two_leases_of_a_job_are_told_apart(services: Services) -> None:
    job = claim_one(services, given_job(services))
    _write(services, end(job, State.QUEUED, error=BROKE, worker_died=True))
    current = claim_one(services, job.id)
    outcomes = [end(held, State.SUCCEEDED) for held in (job, current)]
    assert _write(services, *outcomes) == [None, State.SUCCEEDED]


def _write(services: Services, *outcomes: Outcome) -> Sequence[State | None]:
    """As a worker's writer does."""
    with services.database.transaction() as tx:
        return finish_jobs(tx, list(outcomes))


def test_a_set_of_outcomes_moves_each_job_to_its_own_state(services: Services) -> None:
    held = claim(services, given_worker(services), *given_jobs(services, 3))
    wanted = [State.SUCCEEDED, State.FAILED, State.QUEUED]
    finish(services, *(end(job, state) for job, state in zip(held, wanted, strict=True)))
    assert [state_of(services, job.id) for job in held] == wanted


def test_a_failure_to_be_retried_spends_an_attempt_and_waits(services: Services) -> None:
    job = claim_one(services, given_job(services))
    finish(services, end(job, State.QUEUED, error=BROKE, delay_s=30))
    seen = view(services, job.id)
    assert (seen.attempt, seen.deferrals) == (1, 0)
    [row] = ask(services, "SELECT extract(epoch FROM run_at - now()) AS wait_s FROM jobs")
    assert 25 < row.wait_s <= 30


def test_a_rate_wait_spends_no_attempt(services: Services) -> None:
    job_id = given_job(services, max_attempts=1)
    for deferrals in range(1, 4):
        job = claim_one(services, job_id)
        assert job.attempt == 1
        finish(services, end(job, State.QUEUED, error=BROKE, spends_attempt=False))
        seen = view(services, job_id)
        assert (seen.attempt, seen.deferrals) == (0, deferrals)
    assert finish(services, end(claim_one(services, job_id), State.SUCCEEDED))


def test_a_cancel_beats_a_retry(services: Services) -> None:
    job = claim_one(services, given_job(services))
    _request_cancel(services, job)
    [moved] = finish(services, end(job, State.QUEUED, error=BROKE, delay_s=60))
    assert moved.state is State.CANCELLED
    assert view(services, job.id).attempt == 1


def test_a_cancel_beats_a_rate_wait_and_the_attempt_stays_spent(services: Services) -> None:
    job = claim_one(services, given_job(services))
    _request_cancel(services, job)
    [moved] = finish(services, end(job, State.QUEUED, spends_attempt=False))
    assert moved.state is State.CANCELLED
    seen = view(services, job.id)
    assert (seen.attempt, seen.deferrals) == (1, 0)


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED])
def test_a_cancel_does_not_undo_an_end(services: Services, state: State) -> None:
    job = claim_one(services, given_job(services))
    _request_cancel(services, job)
    [moved] = finish(services, end(job, state))
    assert moved.state is state


def _request_cancel(services: Services, job: ClaimedJob) -> None:
    with services.database.transaction() as tx:
        assert moves.request_cancel(tx, PROJECT, job.id) is State.RUNNING


def test_the_usage_of_a_job_is_that_of_all_its_attempts(services: Services) -> None:
    job = claim_one(services, given_job(services))
    record_call(services, job, cost_micros=70, usage=Usage(10, 5, 2), error_type="invalid_output")
    finish(services, end(job, State.QUEUED, error=BROKE))
    again = claim_one(services, job.id)
    record_call(services, again, cost_micros=30, usage=Usage(20, 7))
    finish(services, end(again, State.SUCCEEDED, output={"text": "hello"}))
    seen = view(services, job.id)
    assert (seen.input_tokens, seen.output_tokens, seen.cached_tokens) == (30, 12, 2)
    assert (seen.cost_micros, seen.unknown_calls) == (100, 0)


def test_a_job_without_calls_cost_nothing(services: Services) -> None:
    job_id, _ = given_state(services, State.SUCCEEDED)
    assert (view(services, job_id).cost_micros, view(services, job_id).unknown_calls) == (0, 0)


@pytest.mark.parametrize("closed", [True, False])
def test_a_call_whose_cost_nobody_knows_makes_the_cost_of_its_job_unknown(
    services: Services, closed: bool
) -> None:
    job = claim_one(services, given_job(services))
    record_call(services, job, cost_micros=70)
    record_call(services, job, cost_micros=None, error_type="provider_timeout", closed=closed)
    finish(services, end(job, State.FAILED, error=BROKE))
    seen = view(services, job.id)
    assert (seen.cost_micros, seen.unknown_calls) == (None, 1)


def test_a_late_end_of_a_call_settles_the_cost_of_a_job_that_has_ended(services: Services) -> None:
    zombie = claim_one(services, given_job(services))
    call_id = record_call(services, zombie, closed=False)
    finish(services, end(zombie, State.QUEUED, error=BROKE))
    other = claim_one(services, zombie.id)
    record_call(services, other, cost_micros=30, usage=Usage(20, 7))
    finish(services, end(other, State.SUCCEEDED))
    assert view(services, zombie.id).cost_micros is None
    close_call(services, call_id, zombie, cost_micros=70, usage=Usage(10, 5))
    seen = view(services, zombie.id)
    assert (seen.cost_micros, seen.unknown_calls) == (100, 0)
    assert (seen.input_tokens, seen.output_tokens) == (30, 12)


def test_only_success_has_an_output(services: Services) -> None:
    job = claim_one(services, given_job(services))
    finish(services, end(job, State.FAILED, output={"text": "half"}, error=BROKE))
    seen = view(services, job.id)
    assert seen.output is None
    assert seen.error == BROKE.as_dict()


def test_a_retry_by_the_owner_forgets_the_error_and_keeps_the_money(services: Services) -> None:
    job = claim_one(services, given_job(services, max_attempts=1))
    record_call(services, job, cost_micros=70, usage=Usage(10, 5), error_type="invalid_output")
    finish(services, end(job, State.FAILED, error=BROKE))
    with services.database.transaction() as tx:
        assert moves.retry(tx, PROJECT, job.id)
    queued = view(services, job.id)
    assert (queued.attempt, queued.error, queued.finished_at) == (0, None, None)
    finish(services, end(claim_one(services, job.id), State.SUCCEEDED, output={"text": "hello"}))
    assert view(services, job.id).cost_micros == 70


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_the_end_of_a_job_gives_birth_to_one_event(services: Services, state: State) -> None:
    job_id, _ = given_state(services, state, webhook_url=HOOK)
    [event] = webhooks_of(services, job_id)
    assert (event.kind, event.lane, event.webhook_url) == ("webhook", "webhook.normal", HOOK)
    assert event.max_attempts == WEBHOOK_MAX_ATTEMPTS
    assert event.input["type"] == f"job.{state}"
    assert told_job(event.input["job"]) == view(services, job_id)
    job = claim_one(services, event.id)
    assert job.kind is Kind.WEBHOOK
    finish(services, end(job, State.SUCCEEDED))
    assert webhooks_of(services, event.id) == []
    assert len(webhooks_of(services, job_id)) == 1


def test_no_event_is_owed_for_a_retry_nor_without_a_url(services: Services) -> None:
    retried = claim_one(services, given_job(services, webhook_url=HOOK))
    finish(services, end(retried, State.QUEUED, error=BROKE))
    silent, _ = given_state(services, State.SUCCEEDED)
    assert webhooks_of(services, retried.id) == webhooks_of(services, silent) == []


def test_a_failed_job_that_is_retried_owes_an_event_for_each_end(services: Services) -> None:
    job_id, _ = given_state(services, State.FAILED, webhook_url=HOOK)
    with services.database.transaction() as tx:
        moves.retry(tx, PROJECT, job_id)
    finish(services, end(claim_one(services, job_id), State.SUCCEEDED))
    types = sorted(event.input["type"] for event in webhooks_of(services, job_id))
    assert types == ["job.failed", "job.succeeded"]


def test_a_finish_leaves_the_lease_of_nobody(services: Services) -> None:
    worker_id, job_id = given_worker(services), given_job(services)
    [job] = claim(services, worker_id, job_id)
    finish(services, end(job, State.QUEUED, error=BROKE))
    silence(services, worker_id, 3600)
    with services.database.transaction() as tx:
        assert leases.expired(tx, 15.0) == []


def test_an_error_is_told_whole(services: Services) -> None:
    job = claim_one(services, given_job(services))
    error = JobError("provider_refused", "no such model", retryable=False, code="model_not_found")
    finish(services, end(job, State.FAILED, error=error))
    assert view(services, job.id).error == {
        "type": "provider_refused",
        "code": "model_not_found",
        "message": "no such model",
        "retryable": False,
    }
