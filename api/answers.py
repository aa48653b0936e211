"""Answers as JSON, with the validators that let a caller ask again for less."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from flask import Response, request

from api.body import JSON
from factory.document import write_json

CONDITIONS = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH")
"""Headers that make a read conditional; no job has a Last-Modified."""


class Answer(Response):
    """A whole body in bytes, whose headers are complete and plain ASCII.

    Skips Werkzeug's pass over the headers of each response, which makes Location absolute and computes
    the length: here both are as they must be.
    """

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """The headers and the body unchanged, unless the response has no body."""
        if environ["REQUEST_METHOD"] == "HEAD" or self.status_code in (204, 304):
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return (self.get_data(),)


@dataclass(frozen=True, slots=True)
class AcceptedAnswer:
    """As `job_answer` with 202, for a request that Flask has not seen: without all that a Response can do."""

    text: bytes
    headers: dict[str, str]
    status_code: ClassVar[int] = 202

    def __call__(
        self, _environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """The headers and the body."""
        start_response("202 ACCEPTED", list(self.headers.items()))
        return (self.text,)


def accepted_answer(job: Mapping[str, Any]) -> AcceptedAnswer:
    """A job that was accepted."""
    text = write_json(job)
    return AcceptedAnswer(text, {**_head(job, text, 202), "Content-Length": str(len(text))})


def json_answer(body: Any, status: int = 200) -> Answer:
    """A body as JSON; times in UTC end in Z."""
    return Answer(write_json(body), status, {"Content-Type": JSON})


def job_answer(
    job: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    environ: dict[str, Any] | None = None,
) -> Answer:
    """A job with an ETag over the whole body; 202 also says where and when to look again.

    Answers the current request, or that of `environ`.
    """
    text = write_json(job)
    answer = Answer(text, status, {**(headers or {}), **_head(job, text, status)})
    if environ is None:
        environ = request.environ
    if environ["REQUEST_METHOD"] == "GET" and any(name in environ for name in CONDITIONS):
        answer.make_conditional(environ)
        del answer.headers["Date"]  # the server adds its own
    return answer


def _head(job: Mapping[str, Any], text: bytes, status: int) -> dict[str, str]:
    # It need not be secret: SHA-1 is the fastest that tells two bodies apart.
    tag = f'"{hashlib.sha1(text, usedforsecurity=False).hexdigest()}"'
    head = {"Content-Type": JSON, "ETag": tag}
    if status == 202:
        head |= {"Location": f"/api/jobs/{job['id']}", "Retry-After": "1"}
    return head


def list_answer(
    data: Sequence[Mapping[str, Any]], *, cursor: str = "id", has_more: bool = False
) -> Response:
    """A list in the one shape of all lists; `cursor` names the field that `after` takes."""
    return json_answer(
        {
            "object": "list",
            "data": data,
            "first_id": data[0][cursor] if data else None,
            "last_id": data[-1][cursor] if data else None,
            "has_more": has_more,
        }
    )
