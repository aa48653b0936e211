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
"""A client may read so slowly, and no slower, once its patience is over."""
LOOK_S = 1.0

log = logging.getLogger(__name__)


def send_now(line: socket.socket, data: memoryview | bytes) -> int | None:
    """How many bytes the socket took without waiting; None where the client has gone."""
    try:
        return line.send(data)
    except BlockingIOError:
        return 0
    except OSError:
        return None


@dataclass(slots=True, eq=False)
class Parcel:
    """An answer on its way."""

    line: socket.socket
    rest: memoryview
    until: float
    done: Callable[[bool], None]


class Sender:
    """One thread for all answers that are larger than their sockets' buffers. It starts with the first."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._given: list[Parcel] = []
        self._parcels: set[Parcel] = set()
        self._lines = selectors.DefaultSelector()
        self._bell, self._ring = socket.socketpair()
        self._ring.setblocking(False)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def send(self, line: socket.socket, rest: bytes, done: Callable[[bool], None]) -> None:
        """Sends the rest, then tells whether all of it went. The socket does not block."""
        until = time.monotonic() + self._patience_s + len(rest) / SLOWEST_BYTES_PER_S
        with self._lock:
            self._given.append(Parcel(line, memoryview(rest), until, done))
            if self._thread.ident is None:
                self._lines.register(self._bell, selectors.EVENT_READ)
                self._thread.start()
        self._wake()

    def stop(self) -> None:
        """Sends what is left, each within its time, and ends the thread."""
        self._stopped = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(self._patience_s)

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            self._ring.send(b"\0")

    def _run(self) -> None:
        while not self._stopped or self._parcels or self._given:
            for key, _ in self._lines.select(LOOK_S):
                if key.data is None:
                    self._bell.recv(4096)
                else:
                    self._go_on(key.data)
            self._take_in()
            now = time.monotonic()
            for parcel in [one for one in self._parcels if one.until < now]:
                self._end(parcel, False)

    def _take_in(self) -> None:
        with self._lock:
            given, self._given = self._given, []
        for parcel in given:
            self._parcels.add(parcel)
            self._lines.register(parcel.line, selectors.EVENT_WRITE, parcel)

    def _go_on(self, parcel: Parcel) -> None:
        sent = send_now(parcel.line, parcel.rest)
        if sent is None:
            self._end(parcel, False)
            return
        parcel.rest = parcel.rest[sent:]
        if not parcel.rest:
            self._end(parcel, True)

    def _end(self, parcel: Parcel, sent: bool) -> None:
        self._parcels.discard(parcel)
        self._lines.unregister(parcel.line)
        try:
            parcel.done(sent)
        except Exception:
            # What one answer's end brings up must not strand the others.
            log.exception("an answer was sent, and its connection not given back")
