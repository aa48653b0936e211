"""How OpenAI says no. https://platform.openai.com/docs/guides/error-codes"""

from __future__ import annotations

from typing import Any

from factory.errors import InvalidInput, Unauthorized
from factory.simulator.provider import Call, Fault, Refusal, is_wrong_key, refuse_unknown_model

_RATE_LIMIT_PER_MINUTE = 500
_TOKEN_LIMIT_PER_MINUTE = 200_000


def authorize(call: Call) -> None:
    """A bearer token."""
    key = call.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if not key:
        raise Unauthorized(
            "You didn't provide an API key. You need to provide your API key in an Authorization "
            "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
    if is_wrong_key(key):
        raise Unauthorized(
            f"Incorrect API key provided: {key[:3]}***. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
        )


def require(call: Call, name: str) -> None:
    """Raises InvalidInput unless the body has the field."""
    if call.body.get(name) is None:
        raise InvalidInput(
            f"Missing required parameter: '{name}'.", param=name, code="missingrequired_parameter"
        )


def refuse_unknown(call: Call) -> None:
    """Raises NotFound for a model that does not exist."""
    refuse_unknown_model(
        call, f"The model `{call.model}` does not exist or you do not have access to it."
    )


_ERRORS: dict[int, tuple[str, str | None, str]] = {
    429: (
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for requests. Please try again later. Visit "
        "https://platform.openai.com/account/rate-limits to learn more.",
    ),
    500: (
        "server_error",
        None,
        "The server had an error while processing your request. Sorry about that!",
    ),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}


def refuse(fault: Fault) -> Refusal:
    """`{error: {message, type, param, code}}`, and on 429 the `x-ratelimit-*` headers."""
    default = "server_error" if fault.status >= 500 else "invalid_request_error"
    kind, code, message = _ERRORS.get(fault.status, (default, None, "The request failed."))
    error: dict[str, Any] = {
        "message": fault.message or message,
        "type": kind,
        "param": fault.param,
        "code": fault.code or code,
    }
    return Refusal({"error": error}, _limit_headers(fault))


def _limit_headers(fault: Fault) -> dict[str, str]:
    headers = {}
    if fault.retry_after_s is not None:
        headers["retry-after"] = f"{fault.retry_after_s:g}"
        headers["retry-after-ms"] = f"{fault.retry_after_s * 1000:g}"
    if fault.status == 429:
        headers |= {
            "x-ratelimit-limit-requests": str(_RATE_LIMIT_PER_MINUTE),
            "x-ratelimit-remaining-requests": str(fault.left),
            "x-ratelimit-reset-requests": f"{fault.retry_after_s or 0:g}s",
            "x-ratelimit-limit-tokens": str(_TOKEN_LIMIT_PER_MINUTE),
            "x-ratelimit-remaining-tokens": str(fault.left or _TOKEN_LIMIT_PER_MINUTE // 2),
            "x-ratelimit-reset-tokens": "30s",
        }
    return headers
