"""The usual requests for a job, read and answered with less than all that HTTP allows.

gunicorn takes a head apart field by field, and asks its configuration about each. Here one pattern reads a head in which
nothing is unusual, to the same request; every other head is left to gunicorn unread.
"""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from functools import lru_cache
from io import BytesIO
from typing import Any

from gunicorn import SERVER
from gunicorn.http.message import Request
from gunicorn.http.wsgi import Response

from api.body import JSON
from api.framing import Received
from api.traffic import NO_CACHE, NO_CONTENT_POLICY, SECURITY_HEADERS

Fields = list[tuple[str, str]]
"""Names in capitals, and values."""

LONGEST_HEAD_BYTES = 4096
"""Shorter than the limits of a request line and of a field."""
MOST_FIELDS = 50
HEAD = re.compile(
    rb"(POST|GET) (/api/jobs(?:/job_[0-9a-f]{32})?) HTTP/1\.1\r\n"
    rb"(?:[A-Za-z0-9-]+: ?[!-~](?:[ -~]*[!-~])?\r\n)+\r\n"
)
UNUSUAL = frozenset({"TRANSFER-ENCODING", "EXPECT", "UPGRADE"})
JSON_TYPE, SOON = ("Content-Type", JSON), ("Retry-After", "1")
KNOWN = frozenset({*SECURITY_HEADERS, NO_CONTENT_POLICY, NO_CACHE, JSON_TYPE, SOON})
"""Headers of answers that need no check."""


class PlainRequest(Request):  # type: ignore[misc]  # gunicorn has no types
    """A request as gunicorn would have read it."""

    version = (1, 1)
    scheme = "http"
    query = fragment = ""
    must_close = False
    proxy_protocol_info = None

    def __init__(
        self, cfg: Any, client: Any, line: tuple[str, str], fields: Fields, body: bytes
    ) -> None:
        self.cfg = cfg
        self.peer_addr = client
        self.method, self.uri = line
        self.path = self.uri
        self.headers = fields
        self.whole_body = body
        self.body = BytesIO(body)

    def take_scheme(self, told: Fields) -> None:
        """Whether TLS ends before the gateway, as these fields of a trusted proxy tell. Raises InvalidSchemeHeaders."""
        schemes, forwarders = self._peer_trusted_for_forwarded()
        is_told = [False]
        for name, value in told:
            self._apply_header_policy(name, value, is_told, set(), schemes, forwarders)


def plain_request(cfg: Any, client: Any, received: Received) -> PlainRequest | None:
    """The request, or None for gunicorn to read it."""
    head = received.head
    if len(head) > LONGEST_HEAD_BYTES or not received.whole or not (found := HEAD.fullmatch(head)):
        return None
    lines = head[found.end(2) : -4].decode("ascii").split("\r\n")[1:]
    pairs = [line.split(":", 1) for line in lines]
    fields = [(name.upper(), value.strip(" ")) for name, value in pairs]
    names = {name for name, _ in fields}
    if len(names) < len(fields) or len(fields) > MOST_FIELDS or not names.isdisjoint(UNUSUAL):
        return None
    line = found[1].decode(), found[2].decode()
    request = PlainRequest(cfg, client, line, fields, received.body)
    if told := names & cfg.secure_scheme_headers.keys():
        request.take_scheme([one for one in fields if one[0] in told])
    return request


class PlainResponse(Response):  # type: ignore[misc]
    """An answer to a plain request."""

    def process_headers(self, headers: Fields) -> None:
        """Checks those that are not always the same."""
        self.headers += [one for one in headers if one in KNOWN]
        super().process_headers([one for one in headers if one not in KNOWN])

    def default_headers(self) -> list[str]:
        """The head's beginning, as gunicorn writes it."""
        goes_on = "close" if self.should_close() else "keep-alive"
        chunked = ["Transfer-Encoding: chunked\r\n"] if self.chunked else []
        return [
            f"HTTP/1.1 {self.status}\r\nServer: {SERVER}\r\n"
            f"Date: {_date(int(time.time()))}\r\nConnection: {goes_on}\r\n",
            *chunked,
        ]


@lru_cache(maxsize=1)
def _date(second: int) -> Any:
    return formatdate(second, usegmt=True)
