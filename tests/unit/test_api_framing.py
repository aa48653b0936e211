"""Where a request ends, in whatever pieces it comes."""

import pytest

from api.body import LONGEST_BODY_BYTES
from api.bulk import LONGEST_BULK_BYTES
from api.framing import LONGEST_HEAD_BYTES, Incoming, Received

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/jobs HTTP/1.1\r\nHost: x\r\n"
LENGTH = POST + b"Content-Length: 5\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
REQUESTS = {
    "no body": (GET, b""),
    "length": (LENGTH, b"hello"),
    "a small one": (POST + b"content-length:0\r\n\r\n", b""),
    "chunks": (CHUNKED, b"5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n"),
    "trailers": (CHUNKED, b"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n"),
}


def fed(data: bytes) -> Incoming:
    incoming = Incoming()
    incoming.feed(data)
    return incoming


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_whole_with_its_last_byte(name: str) -> None:
    head, body = REQUESTS[name]
    incoming = Incoming()
    for place in range(len(head + body)):
        assert incoming.take() is None
        incoming.feed((head + body)[place : place + 1])

    assert incoming.take() == Received(head, body, whole=True)
    assert not len(incoming)


def test_requests_in_one_piece_are_taken_one_by_one() -> None:
    given = [*REQUESTS.values()]
    incoming = fed(b"\r\n".join(head + body for head, body in given))

    assert [incoming.take() for _ in given] == [Received(*one, whole=True) for one in given]
    assert incoming.take() is None


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5, 5",
        b"Content-Length: -5",
        b"Content-Length: +5",
        b"Content-Length: 5e0",
        b"Content-Length: " + b"9" * 40,
        b"Content-Length:",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ],
)
def test_a_body_without_a_clear_end_is_no_whole_request(fields: bytes) -> None:
    received = fed(POST + fields + b"\r\n\r\nhelloGET /admin HTTP/1.1\r\n\r\n").take()

    assert received is not None
    assert (received.whole, received.body) == (False, b"")


@pytest.mark.parametrize(
    "body", [b"x\r\n", b"-1\r\n", b"0x5\r\n", b"\r\n", b"5 5\r\n", b"F" * 16 + b"\r\n", b"1" * 5000]
)
def test_chunks_that_do_not_begin_are_no_whole_request(body: bytes) -> None:
    received = fed(CHUNKED + body).take()

    assert received == Received(CHUNKED, body, whole=False)


def test_bodies_beyond_their_limit_are_not_waited_for() -> None:
    long = POST + b"Content-Length: %d\r\n\r\n" % (LONGEST_BODY_BYTES + 1)
    assert fed(long).take() == Received(long, b"", whole=False)

    bulk = long.replace(b"/api/jobs", b"/api/jobs/bulk")
    assert fed(bulk).take() is None
    assert LONGEST_BULK_BYTES > LONGEST_BODY_BYTES

    chunk = fed(CHUNKED + b"%x\r\n" % (LONGEST_BODY_BYTES + 1)).take()
    assert chunk is not None
    assert chunk.too_large

    tiny = fed(CHUNKED + b"1\r\nx\r\n" * (LONGEST_BODY_BYTES // 2)).take()
    assert tiny is not None
    assert tiny.too_large


def test_a_head_that_never_ends_is_cut() -> None:
    received = fed(b"GET / HTTP/1.1\r\nA: " + b"x" * LONGEST_HEAD_BYTES).take()
    assert received is not None
    assert received.head_too_large

    received = fed(b"GET / HTTP/1.1\nHost: x\n\n").take()
    assert received is not None
    assert not received.whole


def test_who_asks_to_continue_is_told_once_and_not_before_the_head() -> None:
    incoming = fed(LENGTH[:-4])
    assert incoming.take() is None
    assert not incoming.asks_to_continue()
    incoming.feed(b"\r\nExpect: 100-Continue\r\n\r\n")
    assert incoming.take() is None
    assert incoming.asks_to_continue()
    assert not incoming.asks_to_continue()

    old = fed(
        LENGTH.replace(b"1.1", b"1.0").replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    )
    assert old.take() is None
    assert not old.asks_to_continue()
