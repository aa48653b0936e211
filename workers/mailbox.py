"""Calls from one thread to another."""

from __future__ import annotations

import logging
import os
import select
from collections import deque
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)


class Mailbox:
    """Calls posted by one thread, run in order by another.

    `wake` runs in the posting thread and must make the other call `run`. Many posts share one wake-up:
    `_woken` is set by the poster and cleared by the runner before it looks, so no post is missed.
    No lock is involved, and `run` may be entered again from a signal handler.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._woken = False
        self._calls: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()

    def post(self, call: Callable[..., Any], *args: Any) -> None:
        """Have the other thread run `call(*args)` soon."""
        self._calls.append((call, args))
        if not self._woken:
            self._woken = True
            self._wake()

    def run(self) -> None:
        """Run what was posted."""
        self._woken = False
        while self._calls:
            call, args = self._calls.popleft()
            try:
                call(*args)
            # A call that fails must not stop those about other messages.
            except Exception:
                logger.exception("a call between the threads of the pool failed")


class WakePipe:
    """A file descriptor that an event loop can watch, to be woken by another thread."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)

    def fileno(self) -> int:
        """The end to watch for reading."""
        return self._read_end

    def wake(self) -> None:
        """Make the descriptor readable. A full pipe is readable already."""
        try:
            os.write(self._write_end, b"\0")
        except BlockingIOError:
            return

    def clear(self) -> None:
        """Make the descriptor unreadable again."""
        try:
            os.read(self._read_end, 4096)
        except BlockingIOError:
            return

    def wait(self, timeout_s: float) -> None:
        """Return when woken, or after `timeout_s`."""
        select.select([self._read_end], [], [], timeout_s)
