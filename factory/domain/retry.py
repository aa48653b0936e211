"""When to try again: exponential backoff with full jitter, and the webhook schedule."""

from __future__ import annotations

from collections.abc import Callable

from factory.errors import FactoryError, NewerFormat, ProviderError, RateLimited, WebhookFailed

BASE_S = 1.0
CAP_S = 120.0
WEBHOOK_DELAYS_S = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""Delays after the 1st, 2nd, … failed delivery, in seconds."""
WEBHOOK_MAX_ATTEMPTS = len(WEBHOOK_DELAYS_S) + 1
RATE_WAIT_S = 2.0
"""Shortest wait after a 429 that named no time of its own, in seconds."""
RATE_WAIT_CAP_S = 60.0
NAMED_WAIT_S = 0.5
NAMED_WAIT_CAP_S = 30.0
"""A wait that the provider names is at least so long, doubled with each that the job has waited for: some name 0."""
LONGEST_RETRY_AFTER_S = 3600.0


def backoff_s(attempt: int, random: Callable[[], float]) -> float:
    """Delay before the attempt after `attempt` (counted from 1), in seconds.

    Full jitter: uniform in [0, min(cap, base · 2^(attempt-1))].
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    ceiling: float = min(CAP_S, BASE_S * 2.0 ** (attempt - 1))
    return ceiling * random()


def rate_wait_s(deferrals: int, retry_after_s: float | None, random: Callable[[], float]) -> float:
    """Delay after a 429: what the provider asked for, plus up to a quarter so that not all return at once.

    A job that meets one 429 after another waits longer each time, whatever the provider asks for.
    """
    if retry_after_s is not None:
        least = min(NAMED_WAIT_CAP_S, NAMED_WAIT_S * 2.0 ** min(deferrals, 10)) * (1 - random() / 2)
        return max(least, named_wait_s(retry_after_s, random))
    return min(RATE_WAIT_CAP_S, RATE_WAIT_S * 2.0 ** min(deferrals, 10)) * (0.5 + random() / 2)


def named_wait_s(retry_after_s: float, random: Callable[[], float]) -> float:
    """What a provider asked for, an hour at most, plus up to a quarter."""
    return min(retry_after_s, LONGEST_RETRY_AFTER_S) * (1 + random() / 4)


def webhook_delay_s(
    attempt: int, retry_after_s: float | None, random: Callable[[], float]
) -> float:
    """Delay after the failed delivery `attempt` (from 1), ±10 %, never under what the receiver asked for."""
    planned = WEBHOOK_DELAYS_S[min(attempt, len(WEBHOOK_DELAYS_S)) - 1] * (0.9 + random() / 5)
    return max(planned, min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S))


def delay_s(
    error: FactoryError, attempt: int, deferrals: int, random: Callable[[], float]
) -> float:
    """Seconds until a job that met `error` in its `attempt` may run again."""
    if isinstance(error, RateLimited):
        return rate_wait_s(deferrals, error.retry_after_s, random)
    if isinstance(error, WebhookFailed):
        return webhook_delay_s(attempt, error.retry_after_s, random)
    if isinstance(error, NewerFormat):
        return rate_wait_s(deferrals, None, random)
    planned = backoff_s(attempt, random)
    if isinstance(error, ProviderError) and error.retry_after_s is not None:
        return max(planned, named_wait_s(error.retry_after_s, random))
    return planned
