"""How much a loop of the pool reads from a socket at once."""

from __future__ import annotations

import asyncio
import socket
from asyncio import selector_events

import pytest

from workers.pool import READ_BYTES, read_less_at_once

SENT = 4 * READ_BYTES


class Pieces(asyncio.Protocol):
    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.all_there = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.sizes.append(len(data))
        if sum(self.sizes) == SENT:
            self.all_there.set()


async def read_all() -> list[int]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        transport, pieces = await loop.create_connection(Pieces, sock=ours)
        async with asyncio.timeout(60):
            await loop.sock_sendall(theirs, b"x" * SENT)
            await pieces.all_there.wait()
        transport.close()
        return pieces.sizes


def test_a_read_asks_for_no_more_than_the_allocator_has_at_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selector_events._SelectorTransport, "max_size", 4 * READ_BYTES)
    assert max(asyncio.run(read_all())) > READ_BYTES
    read_less_at_once()
    assert max(asyncio.run(read_all())) <= READ_BYTES
