"""How Google says no. https://ai.google.dev/gemini-api/docs/troubleshooting"""

from __future__ import annotations

from factory.errors import Forbidden, InvalidInput
from factory.simulator.provider import (
    Call,
    Fault,
    Json,
    Refusal,
    is_wrong_key,
    refuse_unknown_model,
)

_RPC = "type.googleapis.com/google.rpc."


def authorize(call: Call) -> None:
    """An `x-goog-api-key` header or a `key` in the query; 403 and 400 are what Google answers."""
    key = call.headers.get("x-goog-api-key") or call.query.get("key", "")
    if not key:
        raise Forbidden(
            "Method doesn't allow unregistered callers (callers without established identity). "
            "Please use API Key or other form of API consumer identity to call this API."
        )
    if is_wrong_key(key):
        raise InvalidInput(
            "API key not valid. Please pass a valid API key.", code="API_KEY_INVALID"
        )


def refuse_unknown(call: Call, method: str) -> None:
    """Raises NotFound for a model that does not exist."""
    refuse_unknown_model(
        call,
        f"models/{call.model} is not found for API version v1beta, or is not supported for "
        f"{method}. Call ListModels to see the list of available models and their supported "
        "methods.",
    )


_ERRORS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "Requested entity was not found."),
    429: (
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details. For more "
        "information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
    ),
    500: ("INTERNAL", "An internal error has occurred. Please retry."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}


def refuse(fault: Fault) -> Refusal:
    """`{error: {code, message, status, details}}`; a wait stands in the details, not in a header."""
    default = _ERRORS[500] if fault.status >= 500 else _ERRORS[400]
    status, message = _ERRORS.get(fault.status, default)
    error: Json = {
        "code": fault.status,
        "message": fault.message or message,
        "status": status,
    }
    if details := _details(fault):
        error["details"] = details
    return Refusal({"error": error})


def _details(fault: Fault) -> list[Json]:
    details: list[Json] = []
    if fault.code == "API_KEY_INVALID":
        info = {"reason": fault.code, "domain": "googleapis.com"}
        details.append({"@type": f"{_RPC}ErrorInfo", **info})
    if fault.status == 429:
        quota = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
        }
        details.append({"@type": f"{_RPC}QuotaFailure", "violations": [quota]})
    if fault.retry_after_s is not None:
        delay = f"{fault.retry_after_s:g}s"
        details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": delay})
    return details
