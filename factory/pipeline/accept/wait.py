"""Waiting for jobs to end: one thread polls for all waiters of a process with one statement."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from factory.domain.principal import Principal, together
from factory.errors import Unavailable
from factory.services import Services
from factory.store import jobs

POLL_S = 0.05
POLL_MANY_S = 0.2
MANY = 100
"""From so many waiters on, the thread polls less often, as each poll costs more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Awaited:
    """A job, and the threads that wait for it."""

    who: Principal
    events: list[threading.Event] = field(default_factory=list)


class Waiter:
    """Lets request threads sleep until a job ends. Its own thread runs only while somebody waits."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._awaited: dict[UUID, _Awaited] = {}
        self._running = False

    def wait(self, who: Principal, job_id: UUID, timeout_s: float) -> bool:
        """Whether the job ended within the time. An unknown job never does."""
        event = threading.Event()
        with self._lock:
            self._awaited.setdefault(job_id, _Awaited(who)).events.append(event)
            if not self._running:
                self._running = True
                threading.Thread(target=self._poll, name="waiter", daemon=True).start()
        try:
            return event.wait(timeout_s)
        finally:
            self._forget(job_id, event)

    def _forget(self, job_id: UUID, event: threading.Event) -> None:
        with self._lock:
            awaited = self._awaited[job_id]
            awaited.events.remove(event)
            if not awaited.events:
                del self._awaited[job_id]

    def _poll(self) -> None:
        pause = threading.Event()
        try:
            while wanted := self._wanted():
                self._tell(wanted)
                pause.wait(POLL_S if len(wanted) < MANY else POLL_MANY_S)
        # If a bug ends this thread, the next waiter must start another.
        except Exception:
            with self._lock:
                self._running = False
            raise

    def _wanted(self) -> Mapping[UUID, Principal]:
        with self._lock:
            self._running = bool(self._awaited)
            return {job_id: awaited.who for job_id, awaited in self._awaited.items()}

    def _tell(self, wanted: Mapping[UUID, Principal]) -> None:
        try:
            with self._services.database.autocommit(together(list(wanted.values()))) as tx:
                ended = jobs.ended(tx, list(wanted))
        except Unavailable as error:
            log.warning("waiters go on waiting: %s", error)
            return
        with self._lock:
            for awaited in [self._awaited[job_id] for job_id in ended if job_id in self._awaited]:
                for event in awaited.events:
                    event.set()
