"""A request past aiohttp's session: the same on the wire, and no worse where a server is odd."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientConnectorCertificateError, ClientError, ClientResponseError, connector
from multidict import CIMultiDict

from factory.llm.endpoint import Request
from factory.llm.post import PlainPost, Poster
from tests.integration.llm.recorder import Recorder
from tests.integration.settings.certificates import make_authority
from tests.integration.settings.tls_front import running_front

WITHIN_S = 60.0
HEADERS = {"Content-Type": "application/json", "x-factory-job": "job-1"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")


def request_to(url: str, body: bytes = b'{"a": 1}', **headers: str) -> Request:
    return Request(url, CIMultiDict({**HEADERS, **headers}), body)


async def send(poster: Poster, request: Request, proxy: str | None = None) -> tuple[int, bytes]:
    async with asyncio.timeout(WITHIN_S), poster.post(request, WITHIN_S, proxy) as answer:
        return answer.status, await answer.content.read()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """A whole request; empty at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    [length] = re.findall(rb"(?i)content-length: (\d+)", head)
    return head + await reader.readexactly(int(length))


async def with_server(serve: Serve, use: Callable[[Poster, str], Awaitable[None]]) -> int:
    """Gives how many connections were opened."""
    opened = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await serve(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    poster = Poster()
    await use(poster, f"http://{host}:{port}/v1")
    await poster.close()
    server.close()
    return opened


def test_a_request_is_the_same_as_through_the_session(
    runner: asyncio.Runner, recorder: Recorder
) -> None:
    recorder.answer = {}

    async def both() -> None:
        poster, request = Poster(), request_to(f"{recorder.url}/v1/chat?a=b%20c")
        assert isinstance(poster.post(request, WITHIN_S, None), PlainPost)
        assert await send(poster, request) == (200, b"{}")
        assert await send(poster, request, proxy=recorder.url) == (200, b"{}")
        await poster.close()

    runner.run(both())
    plain, session = recorder.sent
    assert plain.path == "/v1/chat?a=b%20c"
    assert (plain.headers, plain.body) == (session.headers, session.body)


def test_what_only_announces_an_answer_is_passed_over(runner: asyncio.Runner) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
        writer.close()

    async def use(poster: Poster, url: str) -> None:
        for _ in range(2):
            assert await send(poster, request_to(url)) == (200, b"{}")

    assert runner.run(with_server(serve, use)) == 1


def test_an_answer_before_the_end_of_a_request_is_read_and_its_connection_closed(
    runner: asyncio.Runner,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"content-length: 2\r" in head.lower():
            writer.write(OK)
        else:
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
            await closed.wait()
        writer.close()

    closed = asyncio.Event()

    async def use(poster: Poster, url: str) -> None:
        assert await send(poster, request_to(url, b" " * 2**26)) == (413, b"{}")
        assert await send(poster, request_to(url, b"{}")) == (200, b"{}")
        closed.set()

    assert runner.run(with_server(serve, use)) == 2


def test_a_connection_that_the_server_has_closed_is_not_used(runner: asyncio.Runner) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        writer.close()
        await writer.wait_closed()
        closed.set()

    closed = asyncio.Event()

    async def use(poster: Poster, url: str) -> None:
        for _ in range(3):
            closed.clear()
            assert await send(poster, request_to(url)) == (200, b"{}")
            await closed.wait()
            await asyncio.sleep(0)

    assert runner.run(with_server(serve, use)) == 3


def test_leaving_an_answer_half_read_closes_its_connection(runner: asyncio.Runner) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        assert await read_request(reader) == b""
        gone.set()
        writer.close()

    gone = asyncio.Event()

    async def use(poster: Poster, url: str) -> None:
        async with poster.post(request_to(url), WITHIN_S, None) as answer:
            assert answer.status == 200
        async with asyncio.timeout(WITHIN_S):
            await gone.wait()

    assert runner.run(with_server(serve, use)) == 1


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", ClientError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", ClientError),
        (b"SSH-2.0-server\r\n\r\n", ClientResponseError),
    ],
)
def test_what_is_no_answer_is_an_error_of_aiohttp(
    runner: asyncio.Runner, sent: bytes, error: type[ClientError]
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(sent)
        writer.close()

    async def use(poster: Poster, url: str) -> None:
        with pytest.raises(error):
            await send(poster, request_to(url))

    assert runner.run(with_server(serve, use)) == 1


def test_a_header_cannot_end_its_line(runner: asyncio.Runner, recorder: Recorder) -> None:
    recorder.answer = {}

    async def smuggle() -> None:
        poster = Poster()
        with pytest.raises(ValueError, match="header"):
            await send(poster, request_to(recorder.url, traceparent="a\r\nx-more: b"))
        await poster.close()

    runner.run(smuggle())
    assert recorder.sent == []


@needs_openssl
def test_a_certificate_is_verified(
    runner: asyncio.Runner, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.answer = {}
    authority = make_authority(tmp_path, "ours")
    upstream = ("127.0.0.1", urlsplit(recorder.url).port or 0)

    async def post(port: int) -> tuple[int, bytes]:
        poster = Poster()
        try:
            return await send(poster, request_to(f"https://127.0.0.1:{port}/v1"))
        finally:
            await poster.close()

    with running_front(upstream, *authority.issue("127.0.0.1")) as port:
        with pytest.raises(ClientConnectorCertificateError):
            runner.run(post(port))
        context = connector._make_ssl_context(True)
        context.load_verify_locations(authority.certificate)
        monkeypatch.setattr(connector, "_SSL_CONTEXT_VERIFIED", context)
        assert runner.run(post(port)) == (200, b"{}")


def test_a_url_that_cannot_be_called_is_an_error_of_aiohttp(runner: asyncio.Runner) -> None:
    async def post(url: str) -> None:
        poster = Poster()
        try:
            await send(poster, request_to(url))
        finally:
            await poster.close()

    for url in ("no-url", "http://", "ftp://127.0.0.1/v1", "http://127.0.0.1:x/"):
        with pytest.raises(ClientError):
            runner.run(post(url))
