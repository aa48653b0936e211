"""Finds what was lost: jobs of dead workers, hints that nobody claimed, jobs past their deadline or their wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from factory.domain.job import JobError, Outcome
from factory.domain.principal import PLATFORM
from factory.domain.state import State
from factory.errors import DeadlineExceeded
from factory.pipeline.finish import finish_jobs
from factory.pipeline.upkeep.backlog import BacklogMeter
from factory.pipeline.upkeep.periodic import PeriodicTask
from factory.pipeline.upkeep.reaper import Reaper
from factory.pipeline.upkeep.waits import STRANDED_S, StrandedParents, wake_due
from factory.services import Services
from factory.store import counters, leases, lost_hints, moves

TICK_S = 1.0
LONGEST_PAUSE_S = 2.0
"""After a failure. A longer pause of the reaper would trigger its own guard against pauses."""
SWEEP_S = 60.0
LATE = {
    State.QUEUED: "the job's deadline passed before it could run",
    State.WAITING: "the job's deadline passed while it waited",
}


class Rescue:
    """All upkeep of live jobs that needs Postgres alone. A part that fails does not hold up the others."""

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        meter = BacklogMeter(services, monotonic)
        parts = {
            "the reaper": _every(TICK_S, Reaper(services, monotonic).tick),
            "the backlog's meter": _every(TICK_S, meter.tick),
            "the end of overdue jobs": _every(TICK_S, partial(fail_overdue, services)),
            "the end of waits": _every(TICK_S, partial(wake_due, services)),
            "the search for lost wake-ups": _every(STRANDED_S, StrandedParents(services).tick),
            "the search for lost hints": _every(TICK_S, partial(republish_lost, services)),
            "the search for stale hints": _every(TICK_S, partial(forget_stale, services)),
            "the sweep": _every(SWEEP_S, self._sweep),
        }
        self._due_at = {
            PeriodicTask(name, work, LONGEST_PAUSE_S): 0.0 for name, work in parts.items()
        }

    def tick(self) -> None:
        """Does what is due; what fails is logged and comes again."""
        for part, due_at in self._due_at.items():
            now = self._monotonic()
            if now >= due_at:
                self._due_at[part] = now + part.run()

    def _sweep(self) -> None:
        with self._services.database.transaction(PLATFORM) as tx:
            counters.compact(tx)
            leases.forget_old(tx)


def _every(rest_s: float, work: Callable[[], object]) -> Callable[[], float]:
    """The work, which then rests so long."""

    def once() -> float:
        work()
        return rest_s

    return once


def fail_overdue(services: Services) -> int:
    """Fails queued and waiting jobs whose deadline has passed; gives how many."""
    with services.database.transaction(PLATFORM) as tx:
        late = [
            Outcome(job_id, None, State.FAILED, error=JobError.of(DeadlineExceeded(words)))
            for state, words in LATE.items()
            for job_id in moves.overdue(tx, state)
        ]
        finish_jobs(tx, late)
    return len(late)


def republish_lost(services: Services) -> int:
    """Lets hints that nobody claimed in time, and those of dead workers, go out again; gives how many."""
    with services.database.transaction(PLATFORM) as tx:
        return lost_hints.forget_fetched(tx, services.settings.lease_s) + lost_hints.forget_lost(tx)


def forget_stale(services: Services) -> int:
    """Deletes the hints of jobs that wait no more, which would count as in flight; gives how many."""
    with services.database.autocommit(PLATFORM) as tx:
        return lost_hints.forget_stale(tx)
