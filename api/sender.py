"""Sends what a client has not read yet, so that one who reads slowly holds no thread."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

SLOWEST_BYTES_PER_S = 64 * 1024
"""The slowest pace at which a client may read, once the send timeout is over."""
MOST_UNSENT_BYTES = 512 * 1024 * 1024
"""What the answers that clients have not read may hold together. Beyond it, who has read nothing for longest is given up."""
LOOK_S = 1.0

log = logging.getLogger(__name__)


def send_now(sock: socket.socket, data: memoryview | bytes) -> int | None:
    """How many bytes the socket took without waiting; None where the client has gone."""
    try:
        return sock.send(data)
    except BlockingIOError:
        return 0
    except OSError:
        return None


@dataclass(slots=True, eq=False)
class Unsent:
    """What a client has not taken yet of its answer."""

    sock: socket.socket
    rest: memoryview
    size: int
    """Bytes that it holds until its end, however much of them is sent."""
    until: float
    done: Callable[[bool], None]
    read_at: float = 0.0
    """When the client last took a part."""


class Sender:
    """One thread for all answers that are larger than their sockets' buffers. It starts with the first."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._given: list[Unsent] = []
        self._unsent: set[Unsent] = set()
        self._held_bytes = 0
        self._sockets = selectors.DefaultSelector()
        self._woken, self._waking = socket.socketpair()
        self._waking.setblocking(False)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def send(self, sock: socket.socket, rest: bytes, done: Callable[[bool], None]) -> None:
        """Sends the rest, then tells whether all of it went. The socket does not block."""
        until = time.monotonic() + self._timeout_s + len(rest) / SLOWEST_BYTES_PER_S
        with self._lock:
            self._given.append(Unsent(sock, memoryview(rest), len(rest), until, done))
            if self._thread.ident is None:
                self._sockets.register(self._woken, selectors.EVENT_READ)
                self._thread.start()
        self._wake()

    def stop(self) -> None:
        """Sends what is left, each within its time, and ends the thread."""
        self._stopped = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(self._timeout_s)

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            self._waking.send(b"\0")

    def _run(self) -> None:
        while not self._stopped or self._unsent or self._given:
            for key, _ in self._sockets.select(LOOK_S):
                if key.data is None:
                    self._woken.recv(4096)
                else:
                    self._go_on(key.data)
            self._take_in()
            now = time.monotonic()
            for unsent in [one for one in self._unsent if one.until < now]:
                self._end(unsent, False)

    def _take_in(self) -> None:
        with self._lock:
            given, self._given = self._given, []
        for unsent in given:
            self._unsent.add(unsent)
            self._held_bytes += unsent.size
            unsent.read_at = time.monotonic()
            self._sockets.register(unsent.sock, selectors.EVENT_WRITE, unsent)
        while self._held_bytes > MOST_UNSENT_BYTES and len(self._unsent) > 1:
            self._end(min(self._unsent, key=lambda one: one.read_at), False)

    def _go_on(self, unsent: Unsent) -> None:
        sent = send_now(unsent.sock, unsent.rest)
        if sent is None:
            self._end(unsent, False)
            return
        if sent:
            unsent.read_at = time.monotonic()
        unsent.rest = unsent.rest[sent:]
        if not unsent.rest:
            self._end(unsent, True)

    def _end(self, unsent: Unsent, sent: bool) -> None:
        self._unsent.discard(unsent)
        self._held_bytes -= unsent.size
        self._sockets.unregister(unsent.sock)
        try:
            unsent.done(sent)
        # A bug at the end of one answer must not stop the others.
        except Exception:
            log.exception("an answer was sent, and its connection not given back")
