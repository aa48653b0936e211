"""A POST to a provider, over aiohttp's connections and past its session.

The session is made for every kind of request: redirects, cookies, bodies that a task of their own sends. That takes two
thirds of the CPU of a call. A plain request is written at once to a connection of the session's pool; name resolution,
TLS, keep-alive, parsing and decompression are aiohttp's. A request through a proxy takes the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from aiohttp import (
    BaseConnector,
    ClientConnectionError,
    ClientRequest,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    StreamReader,
    TCPConnector,
)
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from aiohttp.http_writer import _serialize_headers
from multidict import istr
from yarl import URL

from factory.llm.endpoint import Request

CONNECT_S = 10.0
KEEPALIVE_S = 4.0
"""How long an idle connection is kept. Servers such as vLLM (uvicorn) and llama.cpp close theirs after 5 s, hosted
providers later. A call that gets one that is just being closed breaks off, and its cost is unknown."""
DNS_CACHE_S = 60
HEADER_BYTES = 64 * 1024
"""The longest header of an answer. Gateways in between add long ones, and the answer behind it is paid for."""
MOST_REMEMBERED = 256
CONTENT_LENGTH = istr("Content-Length")
SWITCHING = 101


class Answer(Protocol):
    """An answer whose body is still to be read, decompressed, from `content`."""

    status: int
    content: StreamReader

    @property
    def headers(self) -> Mapping[str, str]: ...

    def close(self) -> None:
        """Closes the connection: the rest of the body is not wanted."""


class Poster:
    """Posts requests. It may be made anywhere, but is used and closed in one event loop."""

    def __init__(self) -> None:
        self._session: ClientSession | None = None
        self._targets: dict[str, Target | None] = {}

    def post(
        self, request: Request, timeout_s: float, proxy: str | None
    ) -> AbstractAsyncContextManager[Answer]:
        """The answer, for use in `async with` within `asyncio.timeout(timeout_s)`. Leaving closes the connection if the
        body was not read to its end.

        Raises aiohttp's ClientError.
        """
        session = self._open_session()
        timeout = ClientTimeout(total=timeout_s, connect=CONNECT_S)
        target = None if proxy else self._target(request.url)
        if target is not None and session.connector is not None:
            return PlainPost(session.connector, target, request, timeout)
        return session.post(
            request.url,
            data=request.body,
            headers=request.headers,
            timeout=timeout,
            allow_redirects=False,
            proxy=proxy,
        )

    async def close(self) -> None:
        """Closes all connections, those of calls in flight too."""
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> ClientSession:
        """Opened by the first call, because a session belongs to the loop that runs it."""
        if self._session is None:
            connector = TCPConnector(
                limit=0,
                limit_per_host=0,
                ttl_dns_cache=DNS_CACHE_S,
                keepalive_timeout=KEEPALIVE_S,
            )
            self._session = ClientSession(
                connector=connector,
                # A cookie would go with the calls of other projects and credentials.
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                max_line_size=HEADER_BYTES,
                max_field_size=HEADER_BYTES,
            )
        return self._session

    def _target(self, url: str) -> Target | None:
        if url not in self._targets:
            if len(self._targets) >= MOST_REMEMBERED:
                self._targets.clear()
            self._targets[url] = make_target(url)
        return self._targets[url]


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. `request` is aiohttp's for this URL: it names the connection, and has the automatic headers."""

    request: ClientRequest
    line: str


def make_target(url: str) -> Target | None:
    """None for a URL that is left to the session, which says what is wrong with it."""
    try:
        parsed = URL(url)
    except ValueError:
        return None
    if parsed.scheme not in ("http", "https") or not parsed.raw_host or parsed.raw_user:
        return None
    request = ClientRequest("POST", parsed, loop=asyncio.get_running_loop())
    return Target(request, f"POST {request.url.raw_path_qs} HTTP/1.1")


class PlainPost:
    """One request and its answer."""

    content: StreamReader

    def __init__(
        self, connector: BaseConnector, target: Target, request: Request, timeout: ClientTimeout
    ) -> None:
        self._connector = connector
        self._target = target
        self._request = request
        self._timeout = timeout
        self._connection: Connection | None = None
        self.status = 0
        self.headers: Mapping[str, str] = {}

    async def __aenter__(self) -> PlainPost:
        connection = self._connection = await self._connect()
        try:
            self._send(connection)
            message, self.content = await self._receive(connection)
        # Whatever ended it, even a cancellation: the connection is in the middle of something.
        except BaseException:
            connection.close()
            raise
        self.status, self.headers = message.code, message.headers
        return self

    async def __aexit__(self, *_error: object) -> None:
        connection = self._connection
        if connection is None:
            return
        transport = connection.transport
        if transport is not None and transport.get_write_buffer_size() > 0:
            connection.close()  # answered before the request was sent: the rest would precede the next one
        else:
            connection.release()  # closes it if there is more to read

    def close(self) -> None:
        """Closes the connection: the rest of the body is not wanted."""
        if self._connection is not None:
            self._connection.close()

    async def _connect(self) -> Connection:
        request = self._target.request
        try:
            return await self._connector.connect(request, [], self._timeout)
        except TimeoutError as error:
            raise ConnectionTimeoutError(f"no connection to {request.host}") from error

    def _send(self, connection: Connection) -> None:
        """Does not wait until all is sent: the answer to a request that is too large comes before its end."""
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            raise ClientConnectionError("the connection is closed")
        protocol.set_response_params(
            read_until_eof=True, max_line_size=HEADER_BYTES, max_field_size=HEADER_BYTES
        )
        headers = self._target.request.headers.copy()
        headers.update(self._request.headers)
        headers[CONTENT_LENGTH] = str(len(self._request.body))
        transport.write(_serialize_headers(self._target.line, headers) + self._request.body)

    async def _receive(self, connection: Connection) -> tuple[RawResponseMessage, StreamReader]:
        """The answer after all that only announces it."""
        protocol = connection.protocol
        if protocol is None:
            raise ClientConnectionError("the connection is closed")
        while True:
            try:
                message, content = await protocol.read()
            except HttpProcessingError as error:
                raise ClientResponseError(
                    self._target.request.request_info, (), status=error.code, message=error.message
                ) from error
            if message.code >= 200 or message.code == SWITCHING:
                return message, content
