"""`POST /api/jobs` and `GET /api/jobs/{id}` in their usual form, answered before Flask.

Flask's routing, contexts and hooks cost more than what they lead to. Here the functions that the views are made of run
in the same order without them. An unusual request goes to Flask unread. One that fails goes there with its error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from flask import Response

from api.answers import AcceptedAnswer, accepted_answer
from api.auth import caller
from api.body import StrictRequest
from api.gateway import Gateway
from api.headers import SubmitHeaders
from api.one_job import accepted_json, find, job_request, shown
from api.traffic import FAILED, Failed, begin, finish
from factory.domain.access import Scope
from factory.domain.job import parse_id
from factory.domain.principal import Principal

Serve = Callable[..., Iterable[bytes]]
"""A WSGI application."""

READ_PATH = re.compile("/api/jobs/job_[0-9a-f]{32}")
UNUSUAL = ("HTTP_PREFER", "HTTP_UPGRADE")
"""Flask's view parks a client that waits, and Flask refuses websockets."""
HOST = re.compile(r"([A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}(:[0-9]{1,5})?")
"""Names that Werkzeug takes as they are. It refuses some others."""


class Call(NamedTuple):
    """What is answered here."""

    route: str
    """The template of its path, as Flask has it."""
    answer: Callable[[Gateway, Principal, StrictRequest], Response | AcceptedAnswer]


def before(serve: Serve, here: Gateway) -> Serve:
    """The application `serve`, with the usual requests answered before it."""

    def answered(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        call = _call(environ)
        if call is None:
            return serve(environ, start_response)
        asked = StrictRequest(environ, populate_request=False)
        record = begin(here, asked, call.route)
        try:
            answer = call.answer(here, caller(here, asked, record, Scope.JOBS), asked)
        # Flask answers what has failed. It does not try again: the job may be stored.
        except Exception as error:  # noqa: BLE001
            environ[FAILED] = Failed(record, error)
            return serve(environ, start_response)
        finish(here, record, answer)
        return answer(environ, start_response)

    return answered


def _call(environ: dict[str, Any]) -> Call | None:
    """What a usual request asks for; None for an unusual one."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if method == "POST" and path == SUBMIT.route:
        call = SUBMIT
    elif method == "GET" and READ_PATH.fullmatch(path):
        call = READ
    else:
        return None
    unusual = any(environ.get(name) for name in UNUSUAL)
    return call if not unusual and HOST.fullmatch(environ.get("HTTP_HOST", "")) else None


def _submit(here: Gateway, who: Principal, asked: StrictRequest) -> AcceptedAnswer:
    job = job_request(asked.get_json())
    headers = SubmitHeaders(
        prefer="",
        idempotency_key=asked.environ.get("HTTP_IDEMPOTENCY_KEY"),
        traceparent=asked.environ.get("HTTP_TRACEPARENT", ""),
    )
    return accepted_answer(accepted_json(here, who, asked, job, headers))


def _read(here: Gateway, who: Principal, asked: StrictRequest) -> Response:
    job_id = parse_id(asked.path.rpartition("/")[2])
    return shown(find(here, who, job_id), asked.environ)


SUBMIT = Call("/api/jobs", _submit)
READ = Call("/api/jobs/<job_id>", _read)
