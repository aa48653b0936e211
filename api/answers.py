"""Answers as JSON, with the validators that let a caller ask again for less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from flask import Response, request


def json_answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A body as JSON; times in UTC end in Z."""
    text = orjson.dumps(body, option=orjson.OPT_UTC_Z)
    return Response(text, status, headers, mimetype="application/json")


def job_answer(
    job: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A job with an ETag over the whole body; 202 also says where and when to look again."""
    answer = json_answer(job, status, headers)
    if status == 202:
        answer.headers["Location"] = f"/api/jobs/{job['id']}"
        answer.headers["Retry-After"] = "1"
    answer.add_etag()
    answer.make_conditional(request)
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
