"""The loop's side of a proxy: connections, and what is done to them."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

CHUNK = 65_536
TAIL = 100
"""Longer than any pattern: one may come in two pieces."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: the close sends RST instead of FIN."""

Address = tuple[str, int] | Path
"""Host and port, or a unix socket."""


class Direction(StrEnum):
    """Which way bytes go."""

    UP = "up"
    """From the client to the server."""
    DOWN = "down"


BOTH = frozenset(Direction)


@dataclass(slots=True)
class _Side:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def reset(self) -> None:
        with suppress(OSError):
            sock = self.writer.get_extra_info("socket")
            if sock.family is not socket.AF_UNIX:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.writer.transport.abort()


@dataclass(slots=True, eq=False)
class _Link:
    client: _Side
    server: _Side
    doomed: bool = False
    """The answer that comes next is not delivered."""
    deaf: bool = False
    """Its client has heard the end: what the server still says goes nowhere."""
    stranded: bool = False
    """No byte and no end passes any more."""
    tail: bytes = b""
    """The end of what its client has sent while a cut waits."""
    primed: bool = False
    """Its client has sent what a cut waits for."""

    def reset(self) -> None:
        self.client.reset()
        self.server.reset()


class Loss(StrEnum):
    """What is lost of a question and its answer, and how the client learns of it."""

    QUESTION = "question"
    """The server never hears the question; the client's connection is reset."""
    ANSWER = "answer"
    """The server has answered; the client's connection is reset."""
    SILENCE = "silence"
    """The server has answered; the client waits."""
    LIMBO = "limbo"
    """The server never hears the question; both wait, and neither learns that the other has gone."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Breaks the first connection whose client sends `pattern` after it has sent `after`."""

    pattern: bytes
    after: bytes
    loss: Loss


class Relay:
    """Listens and passes bytes on, until it is told otherwise. Belongs to one loop."""

    def __init__(self, upstream: Address, port: int) -> None:
        self._upstream = upstream
        self._port = port
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._gates = {direction: asyncio.Event() for direction in Direction}
        self._delay_s = 0.0
        self._rejecting = False
        self._cut: Cut | None = None
        self.cuts = 0

    async def heal(self) -> None:
        self._delay_s, self._rejecting, self._cut = 0.0, False, None
        for gate in self._gates.values():
            gate.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.reset()

    async def reset(self) -> None:
        for link in tuple(self._links):
            link.reset()

    async def reject(self) -> None:
        self._rejecting = True
        await self.reset()

    async def swallow(self, directions: frozenset[Direction]) -> None:
        for direction in directions:
            self._gates[direction].clear()

    async def strand(self) -> None:
        for link in self._links:
            link.stranded = True

    async def delay(self, seconds: float) -> None:
        self._delay_s = seconds

    async def half_close(self) -> None:
        for link in self._links:
            link.deaf = True
            with suppress(OSError):
                link.client.writer.write_eof()

    async def cut(self, cut: Cut) -> None:
        for link in self._links:
            link.tail, link.primed = b"", False
        self._cut = cut

    async def close(self) -> None:
        await self.refuse()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        client = _Side(reader, writer)
        try:
            await self._serve(client)
        except (OSError, asyncio.CancelledError):
            pass  # one of the two has gone, or the proxy closes
        finally:
            client.reset()
            self._tasks.discard(task)

    async def _serve(self, client: _Side) -> None:
        if self._rejecting:
            return
        await self._gates[Direction.UP].wait()
        link = _Link(client, _Side(*await self._connect()))
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(link, Direction.UP))
                pumps.create_task(self._pump(link, Direction.DOWN))
        except* OSError:
            pass
        finally:
            self._links.discard(link)
            link.reset()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._upstream, Path):
            return await asyncio.open_unix_connection(self._upstream)
        return await asyncio.open_connection(*self._upstream)

    async def _pump(self, link: _Link, direction: Direction) -> None:
        up = direction is Direction.UP
        source, target = (link.client, link.server) if up else (link.server, link.client)
        while data := await source.reader.read(CHUNK):
            await self._hold(link, direction)
            if link.doomed and not up:
                link.reset()
                return
            if up and self._is_time(link, data) and self._cuts_before(link):
                break
            if link.deaf and not up:
                continue
            target.writer.write(data)
            await target.writer.drain()
        await self._hold(link, direction)
        with suppress(OSError):
            target.writer.write_eof()

    async def _hold(self, link: _Link, direction: Direction) -> None:
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        await self._gates[direction].wait()
        if link.stranded:
            await asyncio.get_running_loop().create_future()

    def _is_time(self, link: _Link, data: bytes) -> bool:
        """Whether a cut waits for this, and the client has sent before what it waits for first."""
        if self._cut is None:
            return False
        seen = link.tail + data
        if not link.primed and self._cut.after:
            if self._cut.after not in seen:
                link.tail = seen[-TAIL:]
                return False
            link.primed, seen = True, seen.partition(self._cut.after)[2]
        link.tail = seen[-TAIL:]
        return self._cut.pattern in seen

    def _cuts_before(self, link: _Link) -> bool:
        """Uses the cut up; True when what was read must not go on."""
        cut, self._cut = self._cut, None
        self.cuts += 1
        if cut and cut.loss is Loss.QUESTION:
            link.reset()
            return True
        link.doomed = cut is not None and cut.loss is Loss.ANSWER
        link.stranded = not link.doomed
        return cut is not None and cut.loss is Loss.LIMBO
