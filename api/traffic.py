"""What every request gets: an id, a count, a line in the log, and headers for browsers."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, NamedTuple

from flask import Flask, Request, Response, g, request

from api.access import AccessRecord
from api.answers import AcceptedAnswer
from api.gateway import Gateway, gateway
from api.parked import ParkedResponse
from api.problems import of_factory_error
from factory.errors import FactoryError
from factory.store.details import JobDetail

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBES = frozenset({"/health", "/ready"})
"""Asked every few seconds by machines: counted, not logged."""
DOCS = frozenset({"/docs", "/docs/oauth2-redirect"})
"""Pages with scripts and styles."""
SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "no-referrer"),
)
NO_CACHE = ("Cache-Control", "no-cache")
NO_CONTENT_POLICY = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")

SEEN = ("REQUEST_METHOD", "PATH_INFO", "HTTP_IF_NONE_MATCH")
FAILED = "factory.failed"
"""Where a request's environment holds `Failed`."""
CLIENT_GONE = 499
SUPERVISOR = "factory-supervisor"

Headers = list[tuple[str, str]]


def watch(app: Flask) -> None:
    """Applies this module to every request of the app."""
    app.before_request(_begin)
    app.after_request(_end)
    app.wsgi_app = _guarded(app.wsgi_app)  # type: ignore[method-assign]


def _guarded(serve: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Adds headers for browsers. Doing it by Werkzeug would cost a tenth of a POST."""

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        docs = environ["PATH_INFO"] in DOCS

        def start(status: str, headers: Headers, *exc_info: Any) -> Any:
            headers += SECURITY_HEADERS
            if not docs:
                headers.append(NO_CONTENT_POLICY)
            if all(name != "Cache-Control" for name, _ in headers):
                headers.append(NO_CACHE)
            return start_response(status, headers, *exc_info)

        return serve(environ, start)

    return guarded


class Failed(NamedTuple):
    """A request that failed before Flask began it. Flask answers it with the error."""

    record: AccessRecord
    error: Exception


def _begin() -> None:
    failed: Failed | None = request.environ.pop(FAILED, None)
    if failed:
        g.access = failed.record
        raise failed.error
    g.access = begin(gateway(), request, request.url_rule.rule if request.url_rule else "unmatched")


def begin(here: Gateway, asked: Request, route: str) -> AccessRecord:
    """A request is in flight; `route` is the template of its path."""
    here.meter.begin()
    given = asked.environ.get("HTTP_X_REQUEST_ID", "")
    return AccessRecord(
        # It need not be secret, so no call into the kernel is needed.
        request_id=given if REQUEST_ID.fullmatch(given) else f"req_{random.getrandbits(128):032x}",
        method=asked.method if asked.method in METHODS else "other",
        route=route,
        client=asked.remote_addr,
        supervisor=_is_supervisor(asked),
        started_s=_received_s(asked),
    )


def _received_s(asked: Request) -> float:
    """When it had arrived as a whole: it may have waited for a thread since."""
    sock = asked.environ.get("gunicorn.socket")
    received_s: float = getattr(sock, "received_s", 0.0)
    return received_s or time.perf_counter()


def _is_supervisor(asked: Request) -> bool:
    """Whether `factory up` asks if all is up: ten times a second, and only from this machine."""
    agent = asked.environ.get("HTTP_USER_AGENT")
    return agent == SUPERVISOR and asked.remote_addr == "127.0.0.1"


def _end(response: Response) -> Response:
    if not isinstance(response, ParkedResponse):
        finish(gateway(), g.access, response)
    return response


def finish(here: Gateway, record: AccessRecord, response: Response | AcceptedAnswer) -> None:
    """A request has been answered: the answer bears its id, and it is counted and logged."""
    response.headers["X-Request-Id"] = record.request_id
    _record(here, record, response.status_code)


def _record(here: Gateway, record: AccessRecord, status: int) -> None:
    """Counts and logs an answered request."""
    duration_s = None if record.waits else record.duration_s
    here.meter.end(record.method, record.route, status, duration_s)
    if record.route not in PROBES and not record.supervisor:
        here.access_log.add(record, status)


@dataclass(frozen=True, slots=True)
class Detached:
    """A request that is answered outside of Flask and gunicorn."""

    here: Gateway
    record: AccessRecord
    environ: dict[str, Any]
    """The parts that a response reads; the whole would be 10 KB."""
    render: Callable[[JobDetail, dict[str, Any]], Response]

    def reply(self, outcome: JobDetail | FactoryError) -> bytes:
        """The whole HTTP response; it is counted and logged."""
        if isinstance(outcome, FactoryError):
            response = of_factory_error(outcome)
        else:
            response = self.render(outcome, self.environ)
        finish(self.here, self.record, response)
        return as_http(response, self.environ)

    def gone(self) -> None:
        """Counts and logs that the client went away, under nginx' status for it."""
        _record(self.here, self.record, CLIENT_GONE)


def detach(render: Callable[[JobDetail, dict[str, Any]], Response]) -> Detached:
    """The current request, to be answered later with what `render` makes of the job."""
    g.access.waits = True
    environ = {name: request.environ[name] for name in SEEN if name in request.environ}
    return Detached(gateway(), g.access, environ, render)


ALONE = {"REQUEST_METHOD": "GET", "PATH_INFO": ""}


def as_http(serve: Callable[..., Iterable[bytes]], environ: dict[str, Any] | None = None) -> bytes:
    """An answer to a request with this environment, as HTTP/1.1 with which the connection ends."""
    lines: list[str] = []

    def start(status: str, headers: Headers, *_: Any) -> None:
        lines.append(f"HTTP/1.1 {status}")
        lines.extend(f"{name}: {value}" for name, value in headers)

    body = b"".join(_guarded(serve)(environ or ALONE, start))
    lines += [f"Date: {formatdate(usegmt=True)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
