"""A failed job comes back from the archive when its owner retries it."""

from __future__ import annotations

import threading

import pytest

from factory.domain.state import State
from factory.errors import Conflict, Gone, NotFound
from factory.pipeline.accept import control
from factory.services import Services
from tests.integration.retention.past import (
    COST_MICROS,
    DAY,
    count,
    given_archived,
    given_ended,
    places,
    retain,
    set_ended,
)
from tests.integration.store.samples import OTHER_OWNER, OWNER, claim_one, end, finish, view


def test_a_retry_brings_a_failed_job_back(services: Services) -> None:
    job_id = given_archived(services, State.FAILED)
    job = control.retry(services, OWNER, job_id)
    assert (job.state, job.attempt, job.error, job.finished_at) == (State.QUEUED, 0, None, None)
    assert places(services, job_id) == ["jobs"]
    for table in ("job_contents", "llm_calls_archive", "job_outcomes"):
        assert count(services, table) == 0


def test_what_was_paid_for_is_not_paid_again(services: Services) -> None:
    job_id = given_archived(services, State.FAILED, max_cost_micros=100)
    control.retry(services, OWNER, job_id)
    claimed = claim_one(services, job_id)
    assert claimed.steps == {"answer": {"text": "hello"}}
    assert claimed.spent_micros == COST_MICROS
    assert claimed.input["messages"][0]["content"] == "Say hello."
    assert claimed.max_cost_micros == 100


def test_it_ends_and_moves_again_with_the_cost_of_both_runs(services: Services) -> None:
    job_id = given_archived(services, State.FAILED)
    control.retry(services, OWNER, job_id)
    finish(services, end(claim_one(services, job_id), State.SUCCEEDED, output={"text": "hi"}))
    set_ended(services, job_id, view(services, job_id).created_at - DAY)
    retain(services)
    job = view(services, job_id)
    assert places(services, job_id) == ["jobs_archive"]
    assert (job.state, job.output, job.cost_micros) == (
        State.SUCCEEDED,
        {"text": "hi"},
        COST_MICROS,
    )


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.CANCELLED])
def test_no_other_job_comes_back(services: Services, state: State) -> None:
    job_id = given_archived(services, state)
    with pytest.raises(Conflict, match=f"the job is {state}"):
        control.retry(services, OWNER, job_id)
    assert places(services, job_id) == ["jobs_archive"]


def test_another_projects_job_does_not_come_back(services: Services) -> None:
    job_id = given_archived(services, State.FAILED)
    with pytest.raises(NotFound):
        control.retry(services, OTHER_OWNER, job_id)
    assert places(services, job_id) == ["jobs_archive"]


def test_a_job_whose_content_has_expired_cannot_be_retried(services: Services) -> None:
    job_id = given_ended(services, State.FAILED, ago=40 * DAY)
    retain(services)
    with pytest.raises(Gone):
        control.retry(services, OWNER, job_id)
    assert places(services, job_id) == ["jobs_archive"]


def test_an_archived_job_cannot_be_cancelled(services: Services) -> None:
    job_id = given_archived(services)
    with pytest.raises(Conflict, match="already succeeded"):
        control.cancel(services, OWNER, job_id)


def test_of_many_retries_at_once_one_succeeds(services: Services) -> None:
    job_id = given_archived(services, State.FAILED)
    outcomes: list[str] = []
    callers = [threading.Thread(target=_retry, args=(services, job_id, outcomes)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert sorted(outcomes) == ["conflict", "conflict", "conflict", "retried"]
    assert places(services, job_id) == ["jobs"]
    assert count(services, "llm_calls") == 1


def _retry(services: Services, job_id: object, outcomes: list[str]) -> None:
    try:
        control.retry(services, OWNER, job_id)  # type: ignore[arg-type]
        outcomes.append("retried")
    except Conflict:
        outcomes.append("conflict")
