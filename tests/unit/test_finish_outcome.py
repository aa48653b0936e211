"""What an error means for the job that met it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from factory.domain.job import ClaimedJob, Kind, Outcome, new_id
from factory.domain.state import State
from factory.errors import (
    BudgetExceeded,
    DeadlineExceeded,
    FactoryError,
    InvalidOutput,
    JobFailure,
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    WebhookFailed,
    WebhookRefused,
)
from factory.pipeline.finish import outcome_of

DAY_S = 86_400.0


def _job(attempt: int = 1, max_attempts: int = 3) -> ClaimedJob:
    return ClaimedJob(
        id=new_id(),
        project_id=new_id(),
        kind=Kind.COMPLETION,
        lane="openai.normal",
        provider="openai",
        model="openai/gpt-4o-mini",
        attempt=attempt,
        max_attempts=max_attempts,
        deferrals=0,
        lease_token=7,
        seconds_left=None,
        max_cost_micros=None,
        spent_micros=0,
        input={},
        params={},
        fallbacks=(),
        webhook_url=None,
        traceparent=None,
        steps={},
    )


def _provider_error(kind: type[FactoryError]) -> FactoryError:
    return kind("no", provider="openai")  # type: ignore[call-arg]


PASSING = [
    *map(_provider_error, (ProviderUnavailable, ProviderTimeout, ProviderCutOff)),
    InvalidOutput("no"),
    WebhookFailed("no"),
]
FINAL = [
    *map(_provider_error, (ProviderRefused, ProviderAuthFailed, QuotaExhausted)),
    BudgetExceeded("no"),
    DeadlineExceeded("no"),
    WebhookRefused("no"),
    JobFailure("no"),
]


def _name(error: FactoryError) -> str:
    return error.type


@pytest.mark.parametrize("error", PASSING, ids=_name)
def test_what_passes_is_tried_again_until_the_attempts_are_spent(error: FactoryError) -> None:
    again = outcome_of(_job(attempt=2), error, DAY_S)
    assert (again.state, again.spends_attempt) == (State.QUEUED, True)
    assert again.delay_s >= 0
    assert outcome_of(_job(attempt=3), error, DAY_S).state is State.FAILED


@pytest.mark.parametrize("error", FINAL, ids=_name)
def test_what_does_not_pass_ends_the_job(error: FactoryError) -> None:
    outcome = outcome_of(_job(), error, DAY_S)
    assert outcome.state is State.FAILED
    assert outcome.error is not None
    assert outcome.error.type == error.type


def test_a_rate_wait_spends_no_attempt_and_ends_no_job() -> None:
    error = RateLimited("no", provider="openai", retry_after_s=8.0)
    outcome = outcome_of(_job(attempt=3), error, DAY_S)
    assert (outcome.state, outcome.spends_attempt) == (State.QUEUED, False)
    assert 8 <= outcome.delay_s <= 10


def test_a_job_that_was_rate_limited_for_too_long_fails_and_says_so() -> None:
    waiting = replace(_job(), deferrals=40, deferred_s=DAY_S)
    outcome = outcome_of(waiting, RateLimited("openai answered 429", provider="openai"), DAY_S)
    assert outcome.state is State.FAILED
    assert outcome.error is not None
    assert outcome.error.type == "rate_limited"
    assert "for 24 hours (RATE_LIMIT_GIVE_UP_S)" in outcome.error.message
    assert "openai answered 429" in outcome.error.message


def test_a_long_wait_ends_no_job_whose_next_error_is_another() -> None:
    waiting = replace(_job(), deferrals=40, deferred_s=DAY_S)
    error = _provider_error(ProviderUnavailable)
    assert outcome_of(waiting, error, DAY_S).state is State.QUEUED


def test_the_lease_goes_along() -> None:
    job = _job()
    outcome: Outcome = outcome_of(job, JobFailure("no"), DAY_S)
    assert (outcome.job_id, outcome.lease_token) == (job.id, 7)
