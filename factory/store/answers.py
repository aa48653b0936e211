"""Bounds how long Postgres may take to answer.

libpq waits for ever where nothing breaks the connection: the kernel of a frozen server goes on
acknowledging, so neither keepalives nor `tcp_user_timeout` end the wait, and a unix socket has none.
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
    """The time of one answer."""

    line: socket.socket
    due: float
    passed: bool = False
    """Whether it was too long, so that the connection was cut."""

    def cut(self) -> None:
        """From any thread: ends the connection, and within a second what Postgres does for it. Afterwards nothing."""
        with suppress(OSError):  # it is closed, or broke by itself
            self.line.shutdown(socket.SHUT_RDWR)


class AnswerWatch:
    """A thread that cuts connections on which an answer is overdue; who waits for it gets an error.

    It starts with the first limit, so it survives a fork before that.
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
        with socket.socket(fileno=os.dup(fileno)) as line:
            limit = Limit(line, time.monotonic() + answer_s)
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
