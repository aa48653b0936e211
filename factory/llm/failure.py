"""What an unsuccessful answer of a provider means: status, headers and body become one of our errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

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

MESSAGE_CHARS = 1000
NO_CREDIT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
CONTEXT_WORDS = re.compile(
    r"prompt is too long|input token count.*exceeds|maximum context length|exceeds the context",
    re.IGNORECASE,
)
"""Anthropic, Gemini and Ollama have no code of their own for this: only their words tell."""
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")


def provider_failure(
    provider: str, status: int, headers: Mapping[str, str], body: bytes
) -> ProviderError:
    """The error that an answer other than 2xx stands for. `headers` must find names in lower case."""
    error = _error_of(body)
    code = _code(error)
    message = str(error.get("message") or body[:MESSAGE_CHARS].decode(errors="replace"))
    kind = _kind(status, code, message, error)
    return kind(
        f"{provider} answered {status}: {message[:MESSAGE_CHARS]}",
        provider=provider,
        http_status=status,
        retry_after_s=_retry_after_s(headers, error, kind) if kind.retryable else None,
        code=code,
    )


def _kind(
    status: int, code: str | None, message: str, error: Mapping[str, Any]
) -> type[ProviderError]:
    if status == 429:
        return QuotaExhausted if code in NO_CREDIT else RateLimited
    if status in (401, 403) or "API_KEY_INVALID" in _reasons(error):
        return ProviderAuthFailed
    if status in (503, 529):
        return ProviderOverloaded
    if status >= 500:
        return ProviderUnavailable
    if status == 408:
        return ProviderTimeout
    if code in CONTEXT_CODES or CONTEXT_WORDS.search(message):
        return ContextTooLong
    return ProviderRefused


def _error_of(body: bytes) -> dict[str, Any]:
    """The error object within: `{"error": {…}}`, Gemini's `[{"error": …}]`, Ollama's `{"error": "…"}`."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(answer, list) and answer:
        answer = answer[0]
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _code(error: Mapping[str, Any]) -> str | None:
    """OpenAI's `code`, Anthropic's `type`, Gemini's `status`; Gemini's own `code` is a number."""
    named = (error.get(key) for key in ("code", "status", "type"))
    return next((value for value in named if isinstance(value, str) and value), None)


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    return filter(
        lambda detail: isinstance(detail, dict), details if isinstance(details, list) else []
    )


def _reasons(error: Mapping[str, Any]) -> set[object]:
    return {detail.get("reason") for detail in _details(error)}


def _retry_after_s(
    headers: Mapping[str, str], error: Mapping[str, Any], kind: type[ProviderError]
) -> float | None:
    """Seconds until the provider wants to be asked again; None when it does not say."""
    if (wait_ms := _number(headers.get("retry-after-ms"))) is not None:
        return wait_ms / 1000
    if after := headers.get("retry-after"):
        return _seconds_or_date(after)
    for detail in _details(error):
        if delay := detail.get("retryDelay"):
            return parse_duration_s(str(delay))
    # Every answer of OpenAI tells when the limits are whole again; it is a wait only where one ran out.
    return _reset_s(headers) if kind is RateLimited else None


def _reset_s(headers: Mapping[str, str]) -> float | None:
    """OpenAI: when the limit that ran out (requests or tokens) is whole again."""
    resets = {
        what: parse_duration_s(headers.get(f"x-ratelimit-reset-{what}", ""))
        for what in ("requests", "tokens")
    }
    spent = [resets[what] for what in resets if headers.get(f"x-ratelimit-remaining-{what}") == "0"]
    return max((reset for reset in spent or resets.values() if reset is not None), default=None)


def _seconds_or_date(after: str) -> float | None:
    seconds = _number(after)
    if seconds is not None:
        return seconds
    try:
        due = parsedate_to_datetime(after)
    except ValueError:
        return None
    due = due if due.tzinfo else due.replace(tzinfo=UTC)
    return max(0.0, (due - datetime.now(UTC)).total_seconds())


def _number(text: str | None) -> float | None:
    """A non-negative decimal number; no NaN, no infinity."""
    return float(text) if text and re.fullmatch(r"\d+(\.\d+)?", text) else None


def parse_duration_s(text: str) -> float | None:
    """`1h2m3.5s`, `6m0s`, `20ms`, `17s` in seconds; None for anything else."""
    match = DURATION.fullmatch(text)
    if match is None or not text:
        return None
    try:
        hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds + millis / 1000
