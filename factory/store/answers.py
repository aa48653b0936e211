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

LOOK_S = 0.5

log = logging.getLogger(__name__)


class AnswerWatch:
    """A thread that cuts connections on which an answer is overdue; who waits for it gets an error.

    It starts with the first limit, so it survives a fork before that.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[socket.socket, float] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, fileno: int, answer_s: float) -> Iterator[None]:
        """Cuts the connection behind the descriptor when the block takes longer."""
        # A copy of the descriptor: libpq closes its own when the connection breaks, and the number
        # may be another connection's by the time the answer is overdue.
        with socket.socket(fileno=os.dup(fileno)) as line:
            self._add(line, time.monotonic() + answer_s)
            try:
                yield
            finally:
                with self._lock:
                    self._due.pop(line, None)

    def stop(self) -> None:
        """Ends the thread; limits have no effect any more."""
        self._stopped.set()

    def _add(self, line: socket.socket, due: float) -> None:
        with self._lock:
            self._due[line] = due
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_S):
            with self._lock:
                now = time.monotonic()
                for line in [line for line, due in self._due.items() if due < now]:
                    del self._due[line]
                    _cut(line)


def _cut(line: socket.socket) -> None:
    log.warning("Postgres does not answer in time: the connection is cut")
    with suppress(OSError):  # it broke by itself meanwhile
        line.shutdown(socket.SHUT_RDWR)
