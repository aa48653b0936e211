"""Heads that are read at once: read as gunicorn reads them, or left to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import InvalidSchemeHeaders
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.http.wsgi import Response, create

from api import plain
from api.framing import Received
from api.plain import PlainRequest, PlainResponse, plain_request
from api.traffic import NO_CACHE, NO_CONTENT_POLICY, SECURITY_HEADERS

BODY = b'{"model": "m"}'
READ = b"GET /api/jobs/job_0123456789abcdef0123456789abcdef HTTP/1.1\r\n"
POST = b"POST /api/jobs HTTP/1.1\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
PLAIN = {
    "a submission": POST + b"Host: gateway:8000\r\nContent-Type: application/json\r\n" + LENGTH,
    "a read": READ + b'Host: a\r\nAuthorization: Bearer af_x_y\r\nIf-None-Match: "x", W/"y"\r\n',
    "a list": b"GET /api/jobs HTTP/1.1\r\nhost:a\r\nx-request-id:7\r\n",
    "one that waits": POST + b"Host: a\r\nPrefer: wait=5\r\n" + LENGTH,
    "the last one": READ + b"Host: a\r\nConnection: Close\r\n",
    "behind a proxy": READ + b"Host: a\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n",
    "behind TLS": READ + b"Host: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Ssl: on\r\n",
    "behind no TLS": READ + b"Host: a\r\nX-Forwarded-Proto: http\r\n",
    "names like others": READ + b"Host: a\r\nScript-Name: /x\r\nX: a:b: c\r\n",
}
UNUSUAL = {
    "another path": b"GET /health HTTP/1.1\r\nHost: a\r\n",
    "a query": b"GET /api/jobs?limit=1 HTTP/1.1\r\nHost: a\r\n",
    "another method": b"DELETE /api/jobs HTTP/1.1\r\nHost: a\r\n",
    "HTTP/1.0": b"POST /api/jobs HTTP/1.0\r\nHost: a\r\n",
    "chunks": POST + b"Host: a\r\nTransfer-Encoding: chunked\r\n",
    "a question": POST + b"Host: a\r\nExpect: 100-continue\r\n",
    "an upgrade": READ + b"Host: a\r\nUpgrade: websocket\r\n",
    "a field twice": READ + b"Host: a\r\nX: 1\r\nx: 2\r\n",
    "two lengths": POST + LENGTH + b"content-length: 5\r\n",
    "an underscore": READ + b"Host: a\r\nScript_Name: /x\r\n",
    "a name in quotes": READ + b'Host: a\r\n"x": 1\r\n',
    "a space before the colon": READ + b"Host : a\r\n",
    "a folded line": READ + b"Host: a\r\n b\r\n",
    "a tab": READ + b"Host:\ta\r\n",
    "no value": READ + b"Host: a\r\nX:\r\n",
    "spaces behind": READ + b"Host: a  \r\n",
    "Latin-1": READ + b"Host: a\r\nX: \xe4\r\n",
    "NUL": READ + b"Host: a\r\nX: a\0b\r\n",
    "a bare line feed": READ + b"Host: a\r\nX: a\nY: b\r\n",
    "a bare return": READ + b"Host: a\r\nX: a\rY: b\r\n",
    "no field": READ,
    "a long head": READ + b"Host: a\r\nX: " + b"x" * 5000 + b"\r\n",
    "many fields": READ + b"".join(b"X-%d: a\r\n" % number for number in range(51)),
}


class Sent:
    """A socket that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""

    def sendall(self, data: bytes) -> None:
        self.data += data


def received(lines: bytes, *, whole: bool = True) -> Received:
    return Received(lines + b"\r\n", BODY if LENGTH in lines else b"", whole)


PROXY, OTHER = ("127.0.0.1", 4711), ("10.0.0.9", 4711)
"""Peers of whom gunicorn believes what they say of TLS, and does not."""


def by_gunicorn(given: Received, client: Any = OTHER) -> Any:
    return Request(Config(), IterUnreader((given.head + given.body,)), client, 1)


def at_once(given: Received, client: Any = OTHER) -> PlainRequest | None:
    return plain_request(Config(), client, given)


def environment(request: Any) -> dict[str, Any]:
    """What the application sees, with the body's bytes for the body."""
    _, environ = create(request, Sent(), request.peer_addr, ("127.0.0.1", 8000), Config())
    environ["wsgi.input"] = environ["wsgi.input"].read()
    apart = ("gunicorn.socket", "wsgi.errors", "wsgi.early_hints")
    return {name: value for name, value in environ.items() if name not in apart}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("client", [PROXY, OTHER, ""])
def test_a_plain_head_is_read_as_by_gunicorn(name: str, client: Any) -> None:
    given = received(PLAIN[name])
    request, expected = at_once(given, client), by_gunicorn(given, client)

    assert request
    assert environment(request) == environment(expected)
    assert request.whole_body == given.body
    assert request.should_close() is expected.should_close()


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_head_is_left_to_gunicorn(name: str) -> None:
    assert at_once(received(UNUSUAL[name])) is None


@pytest.mark.parametrize("read", [at_once, by_gunicorn])
def test_a_proxy_that_contradicts_itself_is_refused(read: Callable[[Received, Any], Any]) -> None:
    contradiction = READ + b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n"

    with pytest.raises(InvalidSchemeHeaders):
        read(received(contradiction), PROXY)
    assert read(received(contradiction), OTHER)


def test_a_request_that_was_cut_off_is_left_to_gunicorn() -> None:
    assert at_once(received(PLAIN["a read"], whole=False)) is None


def test_a_name_that_is_no_longer_unusual_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "UNUSUAL", frozenset())

    assert at_once(received(UNUSUAL["chunks"]))
    assert at_once(received(UNUSUAL["an upgrade"]))


ANSWERS: dict[str, tuple[str, list[tuple[str, str]], bytes]] = {
    "accepted": (
        "202 ACCEPTED",
        [
            ("Content-Type", "application/json"),
            ("Retry-After", "1"),
            ("ETag", '"x"'),
            ("Content-Length", "2"),
            *SECURITY_HEADERS,
            NO_CONTENT_POLICY,
            NO_CACHE,
        ],
        b"{}",
    ),
    "unchanged": ("304 NOT MODIFIED", [("ETag", '"x"'), NO_CACHE], b""),
    "of unknown length": ("200 OK", [("Content-Type", "text/plain")], b"abc"),
    "hop by hop": ("200 OK", [("Connection", "close"), ("Content-Length", "3")], b"abc"),
}


def answered(made: type[Any], request: Any, name: str) -> tuple[list[bytes], bytes]:
    """The lines of its head, sorted, but for its date; and its body."""
    status, headers, body = ANSWERS[name]
    sent = Sent()
    answer = made(request, sent, Config())
    answer.start_response(status, list(headers))
    answer.write(body)
    answer.close()
    assert sent.data.startswith(f"HTTP/1.1 {status}\r\n".encode())
    head, _, rest = sent.data.partition(b"\r\n\r\n")
    dates = [line for line in head.split(b"\r\n") if line.startswith(b"Date: ")]
    assert [line[-4:] for line in dates] == [b" GMT"]
    return sorted({*head.split(b"\r\n")} - {*dates}), rest


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("asked", ["a read", "the last one"])
def test_an_answer_is_written_as_by_gunicorn(name: str, asked: str) -> None:
    given = received(PLAIN[asked])
    request = at_once(given)

    assert isinstance(request, PlainRequest)
    assert answered(PlainResponse, request, name) == answered(Response, by_gunicorn(given), name)


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb"])
def test_a_header_that_would_split_an_answer_is_refused(value: str) -> None:
    answer = PlainResponse(at_once(received(PLAIN["a read"])), Sent(), Config())

    with pytest.raises(Exception, match="X-Made-Up"):
        answer.start_response("200 OK", [("X-Made-Up", value)])
