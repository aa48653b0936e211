"""Waiting for jobs to end: one thread polls for all waiters of a process with one statement."""

from __future__ import annotations

import logging
import threading
from uuid import UUID

from factory.errors import Unavailable
from factory.services import Services
from factory.store import jobs

POLL_S = 0.05
POLL_MANY_S = 0.2
MANY = 100
"""From so many waiters on, the thread polls less often, as each poll costs more."""

log = logging.getLogger(__name__)


class Waiter:
    """Lets request threads sleep until a job ends. Its own thread runs only while somebody waits."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._ended: dict[UUID, list[threading.Event]] = {}
        self._running = False

    def wait(self, job_id: UUID, timeout_s: float) -> bool:
        """Whether the job ended within the time. An unknown job never does."""
        event = threading.Event()
        with self._lock:
            self._ended.setdefault(job_id, []).append(event)
            if not self._running:
                self._running = True
                threading.Thread(target=self._poll, name="waiter", daemon=True).start()
        try:
            return event.wait(timeout_s)
        finally:
            self._forget(job_id, event)

    def _forget(self, job_id: UUID, event: threading.Event) -> None:
        with self._lock:
            waiting = self._ended.get(job_id, [])
            if event in waiting:
                waiting.remove(event)
            if not waiting:
                self._ended.pop(job_id, None)

    def _poll(self) -> None:
        pause = threading.Event()
        try:
            while wanted := self._wanted():
                self._tell(wanted)
                pause.wait(POLL_S if len(wanted) < MANY else POLL_MANY_S)
        # If a bug ends this thread, the next waiter must start another.
        except BaseException:
            with self._lock:
                self._running = False
            raise

    def _wanted(self) -> list[UUID]:
        with self._lock:
            self._running = bool(self._ended)
            return list(self._ended)

    def _tell(self, wanted: list[UUID]) -> None:
        try:
            with self._services.database.autocommit() as tx:
                ended = jobs.ended(tx, wanted)
        except Unavailable as error:
            log.warning("waiters go on waiting: %s", error)
            return
        with self._lock:
            for event in [event for job_id in ended for event in self._ended.get(job_id, [])]:
                event.set()
