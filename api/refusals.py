"""Requests that the server itself refuses, answered with problems as the application does."""

from __future__ import annotations

import random
from http import HTTPStatus

from flask import Response
from gunicorn.http import errors as gunicorn

from api.problems import problem
from factory.errors import FactoryError, InvalidInput


class BodyTooLarge(Exception):
    """A chunked body went on beyond its limit."""


class HeadTooLarge(Exception):
    """Request line and headers are larger than the server reads."""


BAD, TOO_LARGE = HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
TOLD: tuple[tuple[type[Exception], HTTPStatus, str], ...] = (
    (BodyTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large"),
    (HeadTooLarge, TOO_LARGE, "the headers are larger than 32 KiB together"),
    (gunicorn.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG, "the request line is too long"),
    (gunicorn.LimitRequestHeaders, TOO_LARGE, "there are too many headers, or one is too large"),
    (gunicorn.InvalidRequestLine, BAD, "the request line is malformed"),
    (gunicorn.InvalidRequestMethod, BAD, "the method is not valid"),
    (gunicorn.InvalidHTTPVersion, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "send HTTP/1.1"),
    (gunicorn.ObsoleteFolding, BAD, "a header goes over several lines"),
    (gunicorn.InvalidHeaderName, BAD, "the name of a header is not valid"),
    (gunicorn.InvalidHeader, BAD, "a header is not valid, repeated or contradicts another"),
    (gunicorn.InvalidSchemeHeaders, BAD, "headers that tell the scheme contradict each other"),
    (
        gunicorn.UnsupportedTransferCoding,
        HTTPStatus.NOT_IMPLEMENTED,
        "send Transfer-Encoding: chunked, or Content-Length",
    ),
    (gunicorn.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED, "send Expect: 100-continue"),
    (gunicorn.InvalidChunkSize, BAD, "the chunked body is malformed"),
    (gunicorn.ChunkMissingTerminator, BAD, "the chunked body is malformed"),
    (gunicorn.InvalidChunkExtension, BAD, "the chunked body is malformed"),
    (gunicorn.NoMoreData, BAD, "the request ended before it was complete"),
)
OWN_FAULT = (gunicorn.InvalidResponseHeader, gunicorn.InvalidResponseHeaderName)
"""Errors that are the application's fault, not the client's."""


def is_refusal(error: Exception) -> bool:
    """Whether the client is to blame."""
    kinds = tuple(kind for kind, _, _ in TOLD)
    return isinstance(error, kinds) and not isinstance(error, OWN_FAULT)


def problem_of(error: Exception) -> Response:
    """The problem for an error outside of the application."""
    if is_refusal(error):
        status, message = next(
            (status, message) for kind, status, message in TOLD if isinstance(error, kind)
        )
        return refused(status, message)
    return refused(HTTPStatus.INTERNAL_SERVER_ERROR, "the platform failed; try again")


def too_slow() -> Response:
    """The answer to a client that did not send its request in time."""
    return refused(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time")


def refused(status: HTTPStatus, message: str) -> Response:
    """A problem with an id of its own: none of the request's headers can be trusted."""
    kind = FactoryError.type if status >= HTTPStatus.INTERNAL_SERVER_ERROR else InvalidInput.type
    answer = problem(status, {"message": message, "type": kind, "param": None, "code": None})
    answer.headers["X-Request-Id"] = f"req_{random.getrandbits(128):032x}"
    return answer
