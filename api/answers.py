"""Answers as JSON, with the validators that let a caller ask again for less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, request
from werkzeug.datastructures import Headers

from factory.document import write_json


class Answer(Response):
    """A whole body in bytes, whose headers are complete and plain ASCII.

    Skips Werkzeug's pass over the headers of each response, which makes Location absolute and computes
    the length: here both are as they must be.
    """

    def get_wsgi_headers(self, environ: dict[str, Any]) -> Headers:
        """The headers unchanged, unless the response has no body."""
        if self.status_code < 200 or self.status_code in (204, 304):
            return super().get_wsgi_headers(environ)
        return self.headers


def json_answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A body as JSON; times in UTC end in Z."""
    text = write_json(body)
    return Answer(text, status, headers, content_type="application/json")


def job_answer(
    job: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    environ: dict[str, Any] | None = None,
) -> Answer:
    """A job with an ETag over the whole body; 202 also says where and when to look again.

    Answers the current request, or that of `environ`.
    """
    answer = json_answer(job, status, headers)
    if status == 202:
        answer.headers["Location"] = f"/api/jobs/{job['id']}"
        answer.headers["Retry-After"] = "1"
    answer.add_etag()
    if environ is None:
        environ = request.environ
    if environ["REQUEST_METHOD"] == "GET":
        answer.make_conditional(environ)
    return answer


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
