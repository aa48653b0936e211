"""Finds jobs whose worker has died, and queues them again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from factory import metrics
from factory.domain.job import JobError, Outcome
from factory.domain.principal import PLATFORM
from factory.domain.quarantine import QUARANTINE_DEATHS, group_size
from factory.domain.state import State
from factory.errors import WorkerLost
from factory.metrics import delta
from factory.pipeline.finish import finish_jobs
from factory.services import Services
from factory.store import leases, lost_hints
from factory.store.database import Tx
from factory.store.leases import Expired

LONGEST_SILENCE_S = 3.0
"""After a longer pause of its own, a reaper does not trust leases that look expired: whatever paused it may have kept
living workers from extending theirs."""
FOREVER_S = 1e9

log = logging.getLogger(__name__)


class Reaper:
    """Finds expired leases. After a pause of its own it first waits for one whole lease.

    When this process or Postgres was paused, or Postgres' clock jumped, every lease looks expired, while
    the workers and their paid calls are alive. During that wait only the jobs of workers that have certainly
    ended are taken back.
    """

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        self._ticked_at: float | None = None
        self._database_time = 0.0
        self._held_until = 0.0

    def tick(self) -> int:
        """Queues the jobs of dead workers again; gives how many. Raises Unavailable."""
        with self._services.database.transaction(PLATFORM) as tx:
            holds = self._holds(leases.database_time(tx))
            lost = leases.expired(tx, FOREVER_S if holds else self._services.settings.lease_s)
            counted = [delta(metrics.LEASES_EXPIRED, len(lost))] if lost else []
            finish_jobs(tx, [_after_death(one) for one in lost], counted)
        for one in lost:
            log.warning("worker %s is lost, job %s goes on elsewhere", one.worker_id, one.job_id)
        return len(lost)

    def _holds(self, database_time: float) -> bool:
        """Whether a pause was noticed less than a lease ago."""
        now = self._monotonic()
        silence = now - self._ticked_at if self._ticked_at is not None else float("inf")
        jump = abs(database_time - self._database_time - silence)
        self._ticked_at, self._database_time = now, database_time
        if silence > LONGEST_SILENCE_S or jump > LONGEST_SILENCE_S:
            self._held_until = now + self._services.settings.lease_s
        return now < self._held_until


def mark_dead(tx: Tx, worker_ids: Sequence[UUID]) -> None:
    """Ends the leases of workers whose processes are known to be gone, and lets their hints go out again."""
    lost_hints.forget_of_lanes(tx, leases.mark_dead(tx, worker_ids))


def _after_death(lost: Expired) -> Outcome:
    """The lost attempt counts; a job that has none left has failed.

    Quarantined jobs that shared a process keep their attempt: most of them did not cause its death.
    """
    error = JobError.of(WorkerLost(f"worker {lost.worker_id} stopped answering"))
    shared = lost.deaths >= QUARANTINE_DEATHS and group_size(lost.deaths) > 1
    goes_on = shared or lost.attempt < lost.max_attempts
    return Outcome(
        lost.job_id,
        lost.lease_token,
        State.QUEUED if goes_on else State.FAILED,
        error=error,
        spends_attempt=not shared,
        worker_died=True,
    )
