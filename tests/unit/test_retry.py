"""How long a job waits for its next attempt."""

from __future__ import annotations

import pytest

from factory.domain.retry import (
    CAP_S,
    LONGEST_RETRY_AFTER_S,
    RATE_WAIT_CAP_S,
    WEBHOOK_DELAYS_S,
    WEBHOOK_MAX_ATTEMPTS,
    backoff_s,
    delay_s,
    rate_wait_s,
    webhook_delay_s,
)
from factory.errors import (
    FactoryError,
    ProviderError,
    ProviderOverloaded,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    WebhookFailed,
)


def lowest() -> float:
    return 0.0


def highest() -> float:
    return 1.0


@pytest.mark.parametrize(("attempt", "ceiling_s"), [(1, 1), (2, 2), (5, 16), (8, 120), (50, 120)])
def test_backoff_doubles_up_to_its_cap_with_full_jitter(attempt: int, ceiling_s: float) -> None:
    assert backoff_s(attempt, lowest) == 0
    assert backoff_s(attempt, highest) == min(ceiling_s, CAP_S)


def test_a_rate_wait_is_what_the_provider_asked_for_and_up_to_a_quarter_more() -> None:
    assert rate_wait_s(0, 40.0, lowest) == 40
    assert rate_wait_s(0, 40.0, highest) == 50


@pytest.mark.parametrize(("deferrals", "least_s"), [(0, 0.25), (1, 0.5), (5, 8.0), (999, 15.0)])
def test_a_rate_wait_of_nothing_is_a_wait_all_the_same(deferrals: int, least_s: float) -> None:
    assert rate_wait_s(deferrals, 0.0, highest) == least_s
    assert rate_wait_s(deferrals, 0.02, lowest) == 2 * least_s


@pytest.mark.parametrize("kind", [ProviderOverloaded, ProviderUnavailable, ProviderTimeout])
def test_a_wait_that_a_provider_names_is_honoured_with_any_error(kind: type[ProviderError]) -> None:
    error = kind("", provider="openai", retry_after_s=40.0)
    assert delay_s(error, 1, 0, lowest) == 40
    assert delay_s(error, 1, 0, highest) == 50
    assert delay_s(kind("", provider="openai", retry_after_s=0.0), 3, 0, highest) == 4


def test_no_provider_makes_a_job_wait_for_days() -> None:
    assert rate_wait_s(0, 1e9, lowest) == LONGEST_RETRY_AFTER_S


@pytest.mark.parametrize(("deferrals", "longest_s"), [(0, 2), (1, 4), (4, 32), (5, 60), (999, 60)])
def test_a_rate_wait_without_a_time_grows_and_is_never_nothing(
    deferrals: int, longest_s: float
) -> None:
    assert rate_wait_s(deferrals, None, lowest) == longest_s / 2
    assert rate_wait_s(deferrals, None, highest) == min(longest_s, RATE_WAIT_CAP_S)


def test_a_webhook_follows_its_schedule_within_a_tenth() -> None:
    for attempt, planned_s in enumerate(WEBHOOK_DELAYS_S, start=1):
        assert webhook_delay_s(attempt, None, lowest) == pytest.approx(0.9 * planned_s)
        assert webhook_delay_s(attempt, None, highest) == pytest.approx(1.1 * planned_s)
    assert len(WEBHOOK_DELAYS_S) == WEBHOOK_MAX_ATTEMPTS - 1


def test_a_receiver_can_ask_for_more_time_but_not_for_less() -> None:
    assert webhook_delay_s(1, 60.0, lowest) == 60
    assert webhook_delay_s(4, 60.0, lowest) == pytest.approx(0.9 * 7200)
    assert webhook_delay_s(1, 1e9, lowest) == LONGEST_RETRY_AFTER_S


@pytest.mark.parametrize(
    ("error", "expected_s"),
    [
        (RateLimited("", provider="openai", retry_after_s=8.0), 10.0),
        (RateLimited("", provider="openai"), 8.0),
        (WebhookFailed("", retry_after_s=600.0), 600.0),
        (ProviderUnavailable("", provider="openai"), 4.0),
    ],
)
def test_the_error_decides_which_rule_holds(error: FactoryError, expected_s: float) -> None:
    assert delay_s(error, 3 if expected_s == 4.0 else 1, 2, highest) == expected_s
