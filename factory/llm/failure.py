"""Turns an unsuccessful answer of a provider (status, headers, body) into one of our errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
from factory.llm.retry_after import details_of, has_room, metadata_of, retry_after_s

MESSAGE_CHARS = 1000
ANSWERS = ("choices", "candidates", "content", "data", "embeddings")
"""The members that only a successful answer has."""
PAGE_BYTES = 8192
TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


def provider_failure(
    provider: str, status: int, headers: Mapping[str, str], body: bytes
) -> ProviderError:
    """The error for an answer other than 2xx. `headers` are looked up by lower-case names."""
    error = error_within(_document(body))
    code = _code(error)
    message = _message(error) or page_words(body)
    kind = _kind(status, code, message, error)
    failure = kind(
        f"{provider} answered {status}: {message[:MESSAGE_CHARS]}",
        provider=provider,
        http_status=status,
        retry_after_s=retry_after_s(headers, error, kind) if kind.retryable else None,
        code=code,
    )
    if isinstance(failure, RateLimited):
        failure.holds_all = not has_room(headers)
    return failure


def _kind(
    status: int, code: str | None, message: str, error: Mapping[str, Any]
) -> type[ProviderError]:
    if status == 429:
        return _limit(code, message)
    if status in NO_CREDIT_STATUSES:
        return QuotaExhausted
    if WRONG_KEY & _reasons(error):
        return ProviderAuthFailed
    return _outage(status) or _refusal(status, code, message)


def _limit(code: str | None, message: str) -> type[ProviderError]:
    if code in NO_CREDIT:
        return QuotaExhausted
    # More than the account may ever send in a minute: no wait helps.
    return ContextTooLong if CONTEXT_WORDS.search(message) else RateLimited


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
        retry_after_s=retry_after_s({}, error, kind) if kind.retryable else None,
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
    message, raw = _words(error.get("message")), metadata_of(error).get("raw")
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


def _reasons(error: Mapping[str, Any]) -> set[object]:
    return {detail.get("reason") for detail in details_of(error)}
