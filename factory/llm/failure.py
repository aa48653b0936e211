"""Turns an unsuccessful answer of a provider (status, headers, body) into one of our errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from factory.document import read_json
from factory.errors import (
    ContentFiltered,
    ContextTooLong,
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderOverloaded,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
)
from factory.llm.failure_words import (
    CONTEXT_CODES,
    CONTEXT_WORDS,
    FILTER_CODES,
    FILTER_WORDS,
    NO_CREDIT,
    NO_CREDIT_STATUSES,
    OVERLOADED_STATUSES,
    PASSING_WORDS,
    SPOILED,
    STATUS_WORDS,
    WRONG_KEY,
)

MESSAGE_CHARS = 1000
ANSWERS = ("choices", "candidates", "content", "data", "embeddings")
"""The members that only a successful answer has."""
PAGE_BYTES = 8192
TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")


def provider_failure(
    provider: str, status: int, headers: Mapping[str, str], body: bytes
) -> ProviderError:
    """The error for an answer other than 2xx. `headers` are looked up by lower-case names."""
    error = error_within(_document(body))
    code = _code(error)
    message = _message(error) or page_words(body)
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
    if status in NO_CREDIT_STATUSES:
        return QuotaExhausted
    if WRONG_KEY & _reasons(error):
        return ProviderAuthFailed
    return _outage(status) or _refusal(status, code, message)


def _outage(status: int) -> type[ProviderError] | None:
    if status in OVERLOADED_STATUSES:
        return ProviderOverloaded
    if status >= 500:
        return ProviderUnavailable
    return ProviderTimeout if status == 408 else None


def _refusal(status: int, code: str | None, message: str) -> type[ProviderError]:
    filtered = FILTER_WORDS.search(message)
    if status == 401 or (status == 403 and not filtered):
        return ProviderAuthFailed
    if code in CONTEXT_CODES or CONTEXT_WORDS.search(message):
        return ContextTooLong
    if code in FILTER_CODES or filtered:
        return ContentFiltered
    return ProviderCutOff if code in SPOILED else ProviderRefused


def unanswered(provider: str, answer: Any) -> ProviderError:
    """The error for a 2xx that holds no answer: the error in its body, if there is one. `answer` is the body as JSON,
    or its bytes if it is not JSON. Proxies and routers in front of models answer 200 and put the model's own error
    into the body.
    """
    error = error_within(answer)
    message = _message(error) or (page_words(answer) if isinstance(answer, bytes) else "")
    if not error and not PASSING_WORDS.search(message):
        told = f": {message[:MESSAGE_CHARS]}" if message else _stop_words(answer)
        return ProviderCutOff(
            f"{provider} answered 200 without an answer{told}", provider=provider, http_status=200
        )
    code = _code(error)
    kind = _kind(_status_within(error, code, message), code, message, error)
    return kind(
        f"{provider} answered 200 with an error: {message[:MESSAGE_CHARS] or code or 'unnamed'}",
        provider=provider,
        http_status=200,
        retry_after_s=_retry_after_s({}, error, kind) if kind.retryable else None,
        code=code,
    )


def _stop_words(answer: Any) -> str:
    """Why a model stopped without a text, such as Gemini's MALFORMED_FUNCTION_CALL."""
    if not isinstance(answer, dict):
        return ""
    inner = (answer.get("candidates"), answer.get("choices"))
    holders = [answer, *(one for many in inner if isinstance(many, list) for one in many[:1])]
    reasons = (
        holder.get(name)
        for holder in holders
        if isinstance(holder, dict)
        for name in ("finishReason", "finish_reason", "stop_reason", "done_reason")
    )
    reason = next((reason for reason in reasons if isinstance(reason, str) and reason), None)
    return f": it stopped for {reason[:100]}" if reason else ""


def error_within(answer: Any) -> dict[str, Any]:
    """The error object in the body: `{"error": {…}}`, Gemini's `[{"error": …}]`, Ollama's `{"error": "…"}`,
    OpenRouter's `{"choices": [{"error": …}]}`, vLLM's `{"object": "error", "message": …}`, FastAPI's `{"detail":
    "…"}`. Empty where there is none.
    """
    answer = answer[0] if isinstance(answer, list) and answer else answer
    if not isinstance(answer, dict):
        return {}
    error = answer.get("error") or _error_of_choice(answer.get("choices"))
    if not error and not any(answer.get(member) for member in ANSWERS):
        error = answer if _is_error(answer) else answer.get("detail")
    if isinstance(error, str | list) and error:
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _is_error(answer: Mapping[str, Any]) -> bool:
    return isinstance(answer.get("message"), str) or str(answer.get("object")).lower() == "error"


def _error_of_choice(choices: Any) -> Any:
    first = choices[0] if isinstance(choices, list) and choices else None
    return first.get("error") if isinstance(first, dict) else None


def _document(body: bytes) -> Any:
    try:
        return read_json(body, exact=False)
    except ValueError:
        return None


def _message(error: Mapping[str, Any]) -> str:
    """The message. OpenRouter's is short, so the message of the provider that it asked follows."""
    message, raw = _words(error.get("message")), _metadata(error).get("raw")
    return f"{message}: {raw}" if message and isinstance(raw, str) and raw else message


def _words(message: Any) -> str:
    """A text, or the findings of a validation: Mistral's `{"detail": […]}`, FastAPI's `[{"loc": …, "msg": …}]`."""
    if isinstance(message, dict):
        return _words(message.get("detail"))
    if isinstance(message, list):
        return "; ".join(filter(None, map(_finding, message)))
    return message if isinstance(message, str) else ""


def _finding(one: Any) -> str:
    if not isinstance(one, dict) or not isinstance(one.get("msg"), str):
        return ""
    place = one.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    return f"{where}: {one['msg']}" if where else str(one["msg"])


def _metadata(error: Mapping[str, Any]) -> Mapping[str, Any]:
    found = error.get("metadata")
    return found if isinstance(found, dict) else {}


def page_words(body: bytes) -> str:
    """The text of a body that is not JSON; of an HTML page its title."""
    text = body[:PAGE_BYTES].decode(errors="replace")
    if not text.lstrip("\ufeff \t\r\n").startswith("<"):
        return text[:MESSAGE_CHARS]
    title = TITLE.search(text)
    words = " ".join(title[1].split()) if title else ""
    return f"a page of HTML, {words!r}" if words else "a page of HTML"


def _status_within(error: Mapping[str, Any], code: str | None, message: str) -> int:
    """The HTTP status that the error in the body stands for; 500, which is retried, if the body does not say."""
    for field in ("code", "status", "status_code", "http_status"):
        status = str(error.get(field))
        if re.fullmatch(r"[45]\d\d", status):
            return int(status)
    found = (
        meant
        for text in (code or "", message)
        for words, meant in STATUS_WORDS
        if words.search(text)
    )
    return next(found, 500)


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
    """Seconds until the provider may be asked again; None if it does not say."""
    if (wait_ms := _number(headers.get("retry-after-ms"))) is not None:
        return wait_ms / 1000
    if after := headers.get("retry-after"):
        return _seconds_or_date(after)
    for detail in _details(error):
        if delay := detail.get("retryDelay"):
            return parse_duration_s(str(delay))
    if (due := _due_s(error)) is not None:
        return due
    # Every answer of OpenAI says when its limits reset; it is a wait only if a limit ran out.
    return _reset_s(headers) if kind is RateLimited else None


def _due_s(error: Mapping[str, Any]) -> float | None:
    """OpenRouter: when the limit resets, in milliseconds since the epoch, among headers beside the error."""
    headers = _metadata(error).get("headers")
    due_ms = _number(str(headers.get("X-RateLimit-Reset"))) if isinstance(headers, dict) else None
    return None if due_ms is None else max(0.0, due_ms / 1000 - datetime.now(UTC).timestamp())


def _reset_s(headers: Mapping[str, str]) -> float | None:
    """OpenAI: when the limit that ran out (requests or tokens) resets."""
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
