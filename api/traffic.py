"""What every request gets: an id, a count, a line in the log, and headers for browsers."""

from __future__ import annotations

import logging
import re
import time
from uuid import uuid4

from flask import Flask, Response, g, request

from api.gateway import gateway

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBES = frozenset({"/health", "/ready"})
"""Asked every few seconds by machines: counted, not logged."""
DOCS = frozenset({"openapi.docs", "openapi.swagger_ui_oauth_redirect"})
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
NO_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"

log = logging.getLogger("api.access")


def watch(app: Flask) -> None:
    """Has every request of the app pass here."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.started_s = time.perf_counter()
    g.request_id = given if REQUEST_ID.fullmatch(given) else f"req_{uuid4().hex}"


def _end(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "unmatched"
    method = request.method if request.method in METHODS else "other"
    gateway().meter.count(method, route, response.status_code)
    if route not in PROBES:
        _log(method, route, response)
    response.headers["X-Request-Id"] = g.request_id
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint not in DOCS:
        response.headers["Content-Security-Policy"] = NO_CONTENT_POLICY
    return response


def _log(method: str, route: str, response: Response) -> None:
    key = g.get("key")
    log.info(
        "%s %s %s",
        method,
        route,
        response.status_code,
        extra={
            "method": method,
            "route": route,
            "status": response.status_code,
            "duration_ms": round((time.perf_counter() - g.started_s) * 1000, 1),
            "request_id": g.request_id,
            "project_id": str(key.project_id) if key else None,
            "key": key.prefix if key else None,
            "client": request.remote_addr,
        },
    )
