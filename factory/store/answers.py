"""Bounds how long Postgres may take to answer.

libpq waits for ever if nothing breaks the connection. The kernel of a frozen server still acknowledges, so neither
keepalives nor `tcp_user_timeout` end the wait; a unix socket has neither.
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TCP-USER-TIMEOUT
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

LOOK_S = 0.5

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Limit:
    """The time limit of one answer."""

    sock: socket.socket
    due: float
    passed: bool = False
    """Whether the time was over, so that the connection was cut."""

    def cut(self) -> None:
        """From any thread: ends the connection; Postgres ends its statement within a second. Harmless afterwards."""
        with suppress(OSError):  # it is closed, or broke by itself
            self.sock.shutdown(socket.SHUT_RDWR)


class AnswerWatch:
    """A thread that cuts connections on which an answer is overdue, so that the caller gets an error.

    It starts with the first limit, so the process may fork before that.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[Limit] = set()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, fileno: int, answer_s: float) -> Iterator[Limit]:
        """Cuts the connection behind the descriptor when the block takes longer."""
        # A copy of the descriptor: libpq closes its own when the connection breaks, and the number
        # may be another connection's by the time the answer is overdue.
        with socket.socket(fileno=os.dup(fileno)) as sock:
            limit = Limit(sock, time.monotonic() + answer_s)
            self._add(limit)
            try:
                yield limit
            finally:
                with self._lock:
                    self._open.discard(limit)

    def stop(self) -> None:
        """Ends the thread; limits have no effect any more."""
        self._stopped.set()

    def _add(self, limit: Limit) -> None:
        with self._lock:
            self._open.add(limit)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_S):
            with self._lock:
                now = time.monotonic()
                for limit in [limit for limit in self._open if limit.due < now]:
                    self._open.discard(limit)
                    limit.passed = True
                    log.warning("Postgres does not answer in time: the connection is cut")
                    limit.cut()
