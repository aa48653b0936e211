"""When a provider may be asked again: by the headers of its answer, by its error, or by the error's words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from factory.errors import ProviderError, RateLimited

LEFT = re.compile(r"ratelimit-.*remaining")
"""`x-ratelimit-remaining-tokens`, `anthropic-ratelimit-tokens-remaining`."""
WORDED = re.compile(
    r"(?:try again in|retry (?:after|in)) (\d[\d.hms]*)(?: (seconds?)\b)?", re.IGNORECASE
)
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")


def retry_after_s(
    headers: Mapping[str, str], error: Mapping[str, Any], kind: type[ProviderError]
) -> float | None:
    """Seconds until the provider may be asked again; None if it does not say."""
    if (wait_ms := _number(headers.get("retry-after-ms"))) is not None:
        return wait_ms / 1000
    if after := headers.get("retry-after"):
        return _seconds_or_date(after)
    for detail in details_of(error):
        if delay := detail.get("retryDelay"):
            return parse_duration_s(str(delay))
    if (due := _due_s(error)) is not None:
        return due
    if (worded := _worded_s(error)) is not None:
        return worded
    # Every answer of OpenAI says when its limits reset; it is a wait only if a limit ran out.
    return _reset_s(headers) if kind is RateLimited else None


def _due_s(error: Mapping[str, Any]) -> float | None:
    """OpenRouter: when the limit resets, in milliseconds since the epoch, among headers beside the error."""
    headers = metadata_of(error).get("headers")
    due_ms = _number(str(headers.get("X-RateLimit-Reset"))) if isinstance(headers, dict) else None
    return None if due_ms is None else max(0.0, due_ms / 1000 - datetime.now(UTC).timestamp())


def _worded_s(error: Mapping[str, Any]) -> float | None:
    """As the message says it: proxies leave out the headers."""
    found = WORDED.search(str(error.get("message")))
    if found is None:
        return None
    number = found[1].rstrip(".")
    return _number(number) if found[2] else parse_duration_s(number)


def _reset_s(headers: Mapping[str, str]) -> float | None:
    """OpenAI: when the limit that ran out (requests or tokens) resets."""
    resets = {
        what: parse_duration_s(headers.get(f"x-ratelimit-reset-{what}", ""))
        for what in ("requests", "tokens")
    }
    spent = [resets[what] for what in resets if headers.get(f"x-ratelimit-remaining-{what}") == "0"]
    return max((reset for reset in spent or resets.values() if reset is not None), default=None)


def has_room(headers: Mapping[str, str]) -> bool:
    """Whether all that the answer says of its limits (requests, tokens) leaves something."""
    named = ((name.lower(), value) for name, value in headers.items())
    left = [_number(value) for name, value in named if LEFT.search(name)]
    return bool(left) and all(left)


def _seconds_or_date(after: str) -> float | None:
    seconds = _number(after)
    if seconds is not None:
        return seconds
    try:
        due = parsedate_to_datetime(after)
    except (ValueError, OverflowError):
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


def details_of(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    return filter(
        lambda detail: isinstance(detail, dict), details if isinstance(details, list) else []
    )


def metadata_of(error: Mapping[str, Any]) -> Mapping[str, Any]:
    found = error.get("metadata")
    return found if isinstance(found, dict) else {}
