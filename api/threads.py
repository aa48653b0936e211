"""The threads that answer requests, fed by a queue."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


class Threads(Generic[T]):
    """Runs one function over what is put in. No Future for each: that would cost more than all else here."""

    def __init__(self, number: int, serve: Callable[[T], None]) -> None:
        self._serve = serve
        self._given: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"request-{place}", daemon=True)
            for place in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, one: T) -> None:
        """Has a thread serve this as soon as one is free."""
        self._given.put(one)

    def shutdown(self, wait: bool = False) -> None:
        """Ends each thread once it is free."""
        for _ in self._threads:
            self._given.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _run(self) -> None:
        while (one := self._given.get()) is not None:
            try:
                self._serve(one)
            # A thread that ended here would be missing for good.
            except Exception:
                log.exception("a request failed, and its connection was not given back")
