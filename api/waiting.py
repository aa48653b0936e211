"""`Prefer: wait=N` (RFC 7240): a request that is held until its job ends."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from factory.domain.principal import Principal
from factory.errors import Unavailable
from factory.limits.places import Places
from factory.pipeline.accept.wait import Waiter

THREADS = 48
"""Requests that one process serves at a time; those that come together share their transaction."""
MOST_WAITING = THREADS * 3 // 4
"""Requests that one process holds; the other threads keep answering."""
LONGEST_WAIT_S = 60
SLICE_S = 1.0
"""How soon a held request notices that its process is to end."""

WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=[,;]|$)', re.IGNORECASE | re.ASCII)


def wait_asked_s(prefer: str) -> int:
    """The N of `wait=N`, at most 60; 0 where the header asks for no wait. A malformed one is ignored."""
    found = WAIT.search(prefer)
    return min(int(found[1]), LONGEST_WAIT_S) if found else 0


class WaitingRequests:
    """A limited number of requests that wait, half of them of one project at most. One beyond it is answered at once,
    and its client may ask again.
    """

    def __init__(self, waiter: Waiter) -> None:
        self.waiter = waiter
        self._places = Places(MOST_WAITING, most=MOST_WAITING, wait_s=0)
        self._leaving = threading.Event()

    @contextmanager
    def place(self, project_id: UUID) -> Iterator[None]:
        """Lets a request of the project wait until the block ends. Raises Unavailable if it may not."""
        if self._leaving.is_set():
            raise Unavailable("this process is about to end; try again")
        with self._places.take(project_id, "waiting requests"):
            yield

    def hold(self, who: Principal, job_id: UUID, wait_s: int) -> bool:
        """Whether the request was held: until its job ended, or for `wait_s` seconds."""
        if not wait_s:
            return False
        try:
            with self.place(who.project_id):
                self._wait(who, job_id, time.monotonic() + wait_s)
        except Unavailable:
            return False
        return True

    def _wait(self, who: Principal, job_id: UUID, until: float) -> None:
        while not self._leaving.is_set() and (left_s := until - time.monotonic()) > 0:
            if self.waiter.wait(who, job_id, min(left_s, SLICE_S)):
                return

    def leave(self) -> None:
        """Ends all waits: the process is to end."""
        self._leaving.set()
