"""The threads that answer requests, fed by a queue."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

LONGEST_ROUND_S = 0.005
"""How long what has come may wait for what else comes in its round."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Threads(Generic[T]):
    """Runs one function over what is put in. No Future for each: that would cost more than all else here.

    Threads that are woken together contend for the interpreter, each of them again at every call into the kernel. So
    what is put in together wakes one thread, which takes the first of it and wakes the next thread.
    """

    def __init__(self, number: int, serve: Callable[[T], None]) -> None:
        self._serve = serve
        self._given: deque[T] = deque()
        self._turns: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """Each wakes a thread to see what was given; False once they are to end."""
        self._threads = [
            threading.Thread(target=self._run, name=f"request-{place}", daemon=True)
            for place in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, some: Iterable[T]) -> None:
        """Has threads serve these, in order, as soon as some are free."""
        self._given.extend(some)
        self._turns.put(True)

    def shutdown(self, wait: bool = False) -> None:
        """Ends each thread once it is free and nothing is left to serve."""
        self._turns.put(False)
        if wait:
            for thread in self._threads:
                thread.join()

    def _run(self) -> None:
        while self._goes_on():
            try:
                one = self._given.popleft()
            except IndexError:
                continue  # another thread was awake already, and took it
            if self._given:
                self._turns.put(True)
            try:
                self._serve(one)
            # A thread that ended here would be missing for good.
            except Exception:
                log.exception("a request failed, and its connection was not given back")

    def _goes_on(self) -> bool:
        if self._turns.get():
            return True
        self._turns.put(False)  # for the other threads
        return bool(self._given)


class Round(Generic[T]):
    """What comes in one round of a loop, handed over together.

    A thread that wakes up while the loop still receives contends with it for the interpreter at each receive. But a
    round may be long, where thousands of clients send a few bytes each: it holds up nobody for more than 5 ms.
    """

    def __init__(
        self, put: Callable[[Sequence[T]], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._put = put
        self._clock = clock
        self._come: list[T] = []
        self._until = 0.0

    def add(self, one: T) -> None:
        """Keeps this until the round ends."""
        if not self._come:
            self._until = self._clock() + LONGEST_ROUND_S
        self._come.append(one)

    def go_on(self) -> None:
        """The round goes on; what has waited for long enough is handed over."""
        if self._come and self._clock() >= self._until:
            self.end()

    def end(self) -> None:
        """Hands everything over, in order."""
        if self._come:
            self._put(self._come)
            self._come = []
