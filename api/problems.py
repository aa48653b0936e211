"""Every error as RFC 9457 problem+json, with an `error` member that OpenAI's clients read too."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from apiflask.exceptions import HTTPError
from flask import Flask, Response, request
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from api.rendered import error_json
from factory.errors import (
    Conflict,
    FactoryError,
    Forbidden,
    Gone,
    IdempotencyInFlight,
    InvalidInput,
    NotFound,
    TooManyAttempts,
    TooManyQueued,
    Unauthorized,
    Unavailable,
)
from factory.kinds.search.show import SearchFailed

MEDIA_TYPE = "application/problem+json"
LONGEST_PATH = 100
"""Characters of a path that a message repeats."""
CHALLENGE = 'Bearer realm="AI Agent Factory"'

STATUS: dict[type[FactoryError], HTTPStatus] = {
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Gone: HTTPStatus.GONE,
    TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    TooManyQueued: HTTPStatus.TOO_MANY_REQUESTS,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    SearchFailed: HTTPStatus.BAD_GATEWAY,
    FactoryError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
TYPES = {
    HTTPStatus.NOT_FOUND: NotFound.type,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable.type,
}

log = logging.getLogger(__name__)


def render_errors(app: Flask) -> None:
    """Has every error of a request rendered here."""
    app.register_error_handler(FactoryError, of_factory_error)
    app.register_error_handler(HTTPException, of_http_exception)
    app.register_error_handler(HTTPError, of_refused_input)


def problem(
    status: HTTPStatus,
    error: Mapping[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """A problem with its `error {message, type, param, code}`; `extra` are further members."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": error["message"],
        "error": error,
        **(extra or {}),
    }
    return Response(orjson.dumps(body), status, headers, content_type=MEDIA_TYPE)


def of_factory_error(error: FactoryError, extra: Mapping[str, Any] | None = None) -> Response:
    """The problem of an error of our own tree; `extra` are further members."""
    shown = error_json(error)
    if isinstance(error, Unavailable) and error.__cause__:
        # The driver's text names hosts and users: that is for the log alone.
        log.error("%s", error)
        shown["message"] = "the platform cannot answer now; try again"
    return problem(_status(error), shown, headers=_headers(error), extra=extra)


def _status(error: FactoryError) -> HTTPStatus:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def _headers(error: FactoryError) -> dict[str, str]:
    match error:
        case Unauthorized():
            told = f', error="{error.code}"' if error.code else ""
            return {"WWW-Authenticate": CHALLENGE + told}
        case Unavailable() | TooManyQueued() | TooManyAttempts():
            return {"Retry-After": str(error.retry_after_s)}
        case IdempotencyInFlight():
            return {"Retry-After": "1"}
        case Conflict():
            # OpenAI's clients retry every 409 unless they are told not to.
            return {"x-should-retry": "false"}
        case _:
            return {}


def of_http_exception(error: HTTPException) -> Response:
    """The problem of what Flask and Werkzeug raise: no such route, a body too large, a bug."""
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    kind = FactoryError.type if status >= HTTPStatus.INTERNAL_SERVER_ERROR else InvalidInput.type
    shown = {
        "message": error.description or status.description,
        "type": TYPES.get(status, kind),
        "param": None,
        "code": None,
    }
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    if status is HTTPStatus.NOT_FOUND:
        shown["message"] = _pointer(request.path)
        headers["Link"] = '</docs>; rel="help"'
    elif isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(set(error.valid_methods or ()) - {"HEAD", "OPTIONS"}))
        shown["message"] = f"{request.method} is of no use here; this path takes {allowed}"
    return problem(status, shown, headers=headers)


def _pointer(path: str) -> str:
    """The message for an unknown path; for paths of other services it says what to use instead."""
    if path == "/":
        return "this is AI Agent Factory: send jobs to POST /api/jobs; /docs shows all calls"
    if path == "/v1" or path.startswith("/v1/"):
        return "there is no OpenAI-compatible API here: send jobs to POST /api/jobs, see /docs"
    return f"there is no {path[:LONGEST_PATH]!r} here; /docs shows all calls"


def of_refused_input(error: HTTPError) -> Response:
    """The problem of input that does not fit its model; APIFlask carries Pydantic's error as the cause."""
    if isinstance(error.__cause__, ValidationError):
        return of_factory_error(invalid_input(error.__cause__))
    shown = {"message": error.message, "type": InvalidInput.type, "param": None, "code": None}
    return problem(HTTPStatus(error.status_code), shown)


def invalid_input(error: ValidationError) -> InvalidInput:
    """The first error, with the path of its field as `param`."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    param = _path(first)
    match first["type"]:
        case "model_type":
            return InvalidInput("send a JSON object", param=param)
        case "extra_forbidden":
            return InvalidInput(f"unknown field {param!r}", param=param)
        case _:
            return InvalidInput(f"{param}: {first['msg']}", param=param)


def _path(found: ErrorDetails) -> str | None:
    """`("params", "stop", 0)` → `params.stop[0]`."""
    path = ""
    for part in found["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".") or None
