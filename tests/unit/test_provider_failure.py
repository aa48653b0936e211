from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest

from factory.errors import (
    ContextTooLong,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
)
from factory.llm.failure import provider_failure
from factory.llm.retry_after import parse_duration_s


def failure(status: int, body: Any = None, **headers: str) -> ProviderError:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return provider_failure("openai", status, named, raw)


def openai(
    message: str = "no", kind: str = "invalid_request_error", code: str | None = None
) -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def gemini(status: str, message: str = "no", *details: Any, code: int = 400) -> Any:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


TOO_LARGE = (
    "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, "
    "Requested 61337. The input or output tokens must be reduced in order to run successfully."
)
REACHED = (
    "Rate limit reached for gpt-4 in organization org-1 on tokens per min (TPM): Limit 10000, "
    "Used 8554, Requested 3082. Please try again in 9.816s."
)
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36.5s"}
BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
ANTHROPIC_LONG = {
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "message": "prompt is too long: 210000 tokens > 200000 maximum",
    },
}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, openai(kind="requests", code="rate_limit_exceeded"), RateLimited),
        (429, openai(kind="insufficient_quota", code="insufficient_quota"), QuotaExhausted),
        (429, openai(TOO_LARGE, kind="tokens", code="rate_limit_exceeded"), ContextTooLong),
        (413, openai(TOO_LARGE, kind="tokens", code="rate_limit_exceeded"), ContextTooLong),
        (429, openai(REACHED, kind="tokens", code="rate_limit_exceeded"), RateLimited),
        (429, b"", RateLimited),
        (401, openai(code="invalid_api_key"), ProviderAuthFailed),
        (403, openai(), ProviderAuthFailed),
        (400, gemini("INVALID_ARGUMENT", "API key not valid", BAD_KEY), ProviderAuthFailed),
        (400, openai(), ProviderRefused),
        (404, openai(code="model_not_found"), ProviderRefused),
        (413, openai(), ProviderRefused),
        (422, openai(), ProviderRefused),
        (400, openai(code="context_length_exceeded"), ContextTooLong),
        (400, openai(kind="exceed_context_size_error"), ContextTooLong),
        (400, ANTHROPIC_LONG, ContextTooLong),
        (
            400,
            gemini(
                "INVALID_ARGUMENT",
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            ),
            ContextTooLong,
        ),
        (408, openai(), ProviderTimeout),
        (503, gemini("UNAVAILABLE", code=503), ProviderOverloaded),
        (529, {"type": "error", "error": {"type": "overloaded_error"}}, ProviderOverloaded),
        (500, {"error": "an error of Ollama"}, ProviderUnavailable),
        (502, b"<html>Bad Gateway</html>", ProviderUnavailable),
        (504, [], ProviderUnavailable),
        (307, b"", ProviderRefused),
    ],
)
def test_an_answer_means_what_its_status_and_body_say(
    status: int, body: Any, kind: type[ProviderError]
) -> None:
    error = failure(status, body)
    assert type(error) is kind
    assert error.http_status == status
    assert error.provider == "openai"


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        None,
        "text",
        3,
        {"error": None},
        {"error": []},
        {"error": {"details": [None]}},
        b"\xff",
    ],
)
def test_no_body_is_too_strange_to_be_classified(body: Any) -> None:
    assert type(failure(429, body)) is RateLimited


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (openai(code="invalid_api_key"), "invalid_api_key"),
        (openai(kind="server_error"), "server_error"),
        (gemini("RESOURCE_EXHAUSTED", code=429), "RESOURCE_EXHAUSTED"),
        ([gemini("RESOURCE_EXHAUSTED", code=429)], "RESOURCE_EXHAUSTED"),
        ({"error": "plain words"}, None),
    ],
)
def test_the_code_is_the_providers_own(body: Any, code: str | None) -> None:
    assert failure(400, body).code == code


def test_a_long_message_is_cut() -> None:
    assert len(failure(400, openai("x" * 100_000)).message) < 1_200


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry_after_ms": "1500", "retry_after": "9"}, None, 1.5),
        ({"retry_after": "20"}, None, 20.0),
        ({"retry_after": "0.5"}, None, 0.5),
        ({"retry_after": "soon"}, None, None),
        ({"retry_after": "nan"}, None, None),
        ({"retry_after": "-3"}, None, None),
        ({}, gemini("RESOURCE_EXHAUSTED", "no", RETRY_INFO, code=429), 36.5),
        ({}, openai(REACHED), 9.816),
        ({}, openai("Rate limit reached. Please try again in 1m2.5s."), 62.5),
        ({}, openai("The token rate limit is exceeded. Please retry after 86400 seconds."), 86_400),
        ({}, openai("Please retry in 174ms, or buy more."), 0.174),
        ({}, openai("Please try again in 3 days."), None),
        ({"retry_after": "20"}, openai(REACHED), 20.0),
        ({"x_ratelimit_reset_requests": "6m0s"}, None, 360.0),
        (
            {
                "x_ratelimit_remaining_requests": "12",
                "x_ratelimit_reset_requests": "1h",
                "x_ratelimit_remaining_tokens": "0",
                "x_ratelimit_reset_tokens": "170ms",
            },
            None,
            0.17,
        ),
        ({}, None, None),
    ],
)
def test_a_rate_limit_says_when_to_come_back(
    headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    assert failure(429, body, **headers).retry_after_s == seconds


@pytest.mark.parametrize(
    ("headers", "holds_all"),
    [
        ({}, True),
        ({"retry_after": "20"}, True),
        ({"x_ratelimit_remaining_requests": "9", "x_ratelimit_remaining_tokens": "0"}, True),
        ({"x_ratelimit_remaining_requests": "9", "x_ratelimit_remaining_tokens": "76"}, False),
        ({"X_RateLimit_Remaining_Tokens": "76"}, False),
        ({"x_ratelimit_remaining_tokens": "soon"}, True),
        ({"anthropic_ratelimit_tokens_remaining": "0"}, True),
        ({"anthropic_ratelimit_input_tokens_remaining": "4000"}, False),
    ],
)
def test_a_limit_that_has_room_for_smaller_calls_holds_this_one_alone(
    headers: dict[str, str], holds_all: bool
) -> None:
    limited = failure(429, openai(REACHED), **headers)
    assert isinstance(limited, RateLimited)
    assert limited.holds_all is holds_all


def test_a_date_to_come_back_at_becomes_seconds() -> None:
    due = datetime.now(UTC) + timedelta(seconds=90)
    seconds = failure(429, retry_after=format_datetime(due, usegmt=True)).retry_after_s
    assert seconds is not None
    assert 85 < seconds <= 90


def test_a_date_in_the_past_means_now() -> None:
    assert failure(503, retry_after="Wed, 21 Oct 2015 07:28:00 GMT").retry_after_s == 0


@pytest.mark.parametrize(
    "after",
    ["-1", "soon", "Mon, 01 Jan 10000 00:00:00 GMT", "Mon, 01 Jan 99999999999 00:00:00 GMT"],
)
def test_a_date_that_is_none_says_nothing(after: str) -> None:
    limited = failure(429, retry_after=after)
    assert isinstance(limited, RateLimited)
    assert limited.retry_after_s is None


def test_what_must_not_be_retried_has_no_time_to_come_back() -> None:
    assert failure(401, retry_after="20").retry_after_s is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("17s", 17.0),
        ("1.5s", 1.5),
        ("20ms", 0.02),
        ("6m0s", 360.0),
        ("1h2m3s", 3723.0),
        ("", None),
        ("1.2.3s", None),
        ("tomorrow", None),
    ],
)
def test_durations_are_read_as_providers_write_them(text: str, seconds: float | None) -> None:
    assert parse_duration_s(text) == seconds


def test_the_reset_of_a_limit_that_did_not_run_out_is_no_wait() -> None:
    assert failure(503, x_ratelimit_reset_requests="6m0s").retry_after_s is None
    assert failure(529, retry_after="7", x_ratelimit_reset_requests="6m0s").retry_after_s == 7
