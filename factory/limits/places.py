"""A bounded number of places for threads. Some threads may wait for a place, but not too many and not too long."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from factory.errors import Unavailable

RETRY_AFTER_S = 2


class Places:
    """`at_once` threads have a place. At most `most` have one or wait for one. One project has at most half of these,
    so that others are not turned away because of it.
    """

    def __init__(self, at_once: int, *, most: int, wait_s: float) -> None:
        self._free = threading.Semaphore(at_once)
        self._most = max(most, at_once)
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._here: Counter[UUID] = Counter()

    @contextmanager
    def take(self, project_id: UUID, what: str) -> Iterator[None]:
        """Waits for a place and gives it back at the end. Raises Unavailable, whose message names `what`."""
        self._come(project_id, what)
        try:
            if not self._free.acquire(timeout=self._wait_s):
                raise Unavailable(f"too many {what} at once; try again", retry_after_s=5)
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._leave(project_id)

    def _come(self, project_id: UUID, what: str) -> None:
        with self._lock:
            share = max(1, self._most // 2)
            if self._here.total() >= self._most or self._here[project_id] >= share:
                raise Unavailable(
                    f"too many {what} at once; try again", retry_after_s=RETRY_AFTER_S
                )
            self._here[project_id] += 1

    def _leave(self, project_id: UUID) -> None:
        with self._lock:
            self._here[project_id] -= 1
            if not self._here[project_id]:
                del self._here[project_id]
