"""A TCP proxy on loopback whose connections a test breaks, in each way that a network can."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from tests.integration.reliability.ports import free_port
from tests.integration.reliability.relay import BOTH, Address, Cut, Direction, Loss, Relay

__all__ = ["BOTH", "Address", "Direction", "Loss", "Proxy", "running_proxy"]

ANSWER_S = 10.0


class Proxy:
    """A running proxy. Each method returns when the fault is in force; `heal` takes back what lasts."""

    def __init__(self, relay: Relay, loop: asyncio.AbstractEventLoop, port: int) -> None:
        self.port = port
        self._relay = relay
        self._loop = loop

    @property
    def cuts(self) -> int:
        """How many connections `cut_at` has cut."""
        return self._relay.cuts

    def heal(self) -> None:
        """All bytes pass, also those that were held back."""
        self._do(self._relay.heal())

    def refuse(self) -> None:
        """Nobody listens; connections that stand are reset."""
        self._do(self._relay.refuse())

    def reset(self) -> None:
        """Connections that stand are reset, new ones are served."""
        self._do(self._relay.reset())

    def reject(self) -> None:
        """Connections that stand are reset, and each new one as soon as it is accepted."""
        self._do(self._relay.reject())

    def swallow(self, directions: frozenset[Direction] = BOTH) -> None:
        """A black hole, in one direction or in both: no byte passes, and nobody is told of an end."""
        self._do(self._relay.swallow(directions))

    def strand(self) -> None:
        """Connections that stand are half-open for good, also after `heal`; new ones are served."""
        self._do(self._relay.strand())

    def delay(self, seconds: float) -> None:
        """Every piece of data takes so much longer."""
        self._do(self._relay.delay(seconds))

    def half_close(self) -> None:
        """Clients see the end of what the server says, and may still talk to it."""
        self._do(self._relay.half_close())

    def cut_at(self, pattern: bytes, loss: Loss, *, after: bytes = b"") -> None:
        """Once: loses the question that holds `pattern`, or its answer, of the first client that sends
        it after it has sent `after`.
        """
        self._do(self._relay.cut(Cut(pattern, after, loss)))

    def _do(self, act: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(act, self._loop).result(ANSWER_S)


@contextmanager
def running_proxy(upstream: Address) -> Iterator[Proxy]:
    """A healthy proxy to `upstream`; nothing of it is left after the block."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()
    port = free_port()
    relay = Relay(upstream, port)
    proxy = Proxy(relay, loop, port)
    try:
        proxy.heal()
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(relay.close(), loop).result(ANSWER_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
