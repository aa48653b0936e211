"""Taking back what was lost: jobs of dead workers, hints that nobody claimed, jobs past their deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

from redis.exceptions import RedisError

from factory import metrics
from factory.domain.job import JobError, Outcome
from factory.domain.quarantine import QUARANTINE_DEATHS, group_size
from factory.domain.state import State
from factory.errors import DeadlineExceeded, Unavailable, WorkerLost
from factory.metrics import delta
from factory.pipeline.finish import finish_jobs
from factory.pipeline.rounds import Rounds
from factory.services import Services
from factory.store import backlog, counters, hints, leases, moves
from factory.store.database import Tx
from factory.store.leases import Expired

TICK_S = 1.0
LONGEST_SILENCE_S = 3.0
"""A reaper that has not ticked for so long cannot tell dead workers from its own absence."""
FOREVER_S = 1e9
LONGEST_PAUSE_S = 2.0
"""After a failure. A reaper that paused for longer would take itself for absent."""
SWEEP_S = 60.0
MEASURE_SHARE = 20
EPOCH_KEY = "factory:epoch"

log = logging.getLogger(__name__)


class Reaper:
    """Finds expired leases, but not while it may be the one that was away.

    After a pause of this process, of Postgres or a jump of Postgres' clock, every lease looks expired
    at once, while the workers and their paid calls are alive. So it then holds for one whole lease, but
    for workers that have certainly ended.
    """

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        self._ticked_at: float | None = None
        self._database_time = 0.0
        self._held_until = 0.0

    def tick(self) -> int:
        """Queues the jobs of dead workers again; gives how many. Raises Unavailable."""
        with self._services.database.transaction() as tx:
            holds = self._holds(leases.database_time(tx))
            lost = leases.expired(tx, FOREVER_S if holds else self._services.settings.lease_s)
            counted = [delta(metrics.LEASES_EXPIRED, len(lost))] if lost else []
            finish_jobs(tx, [_after_death(one) for one in lost], counted)
        for one in lost:
            log.warning("worker %s is lost, job %s goes on elsewhere", one.worker_id, one.job_id)
        return len(lost)

    def _holds(self, database_time: float) -> bool:
        now = self._monotonic()
        silence = now - self._ticked_at if self._ticked_at is not None else float("inf")
        jump = abs(database_time - self._database_time - silence)
        self._ticked_at, self._database_time = now, database_time
        if silence > LONGEST_SILENCE_S or jump > LONGEST_SILENCE_S:
            self._held_until = now + self._services.settings.lease_s
        return now < self._held_until


def bury(tx: Tx, worker_ids: Sequence[UUID]) -> None:
    """The workers' processes are gone, as somebody has seen: nothing of theirs waits for the lease's end."""
    hints.forget_of_lanes(tx, leases.bury(tx, worker_ids))


def _after_death(lost: Expired) -> Outcome:
    """The death was an attempt; a job that has none left has failed. Of suspects that shared a process most
    had no part in its death, so it costs them none.
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


def fail_overdue(services: Services) -> int:
    """Fails queued jobs whose deadline has passed; gives how many."""
    error = JobError.of(DeadlineExceeded("the job's deadline passed before it could run"))
    with services.database.transaction() as tx:
        late = moves.overdue(tx)
        finish_jobs(tx, [Outcome(job_id, None, State.FAILED, error=error) for job_id in late])
    return len(late)


def republish_lost(services: Services) -> int:
    """Lets hints that nobody claimed in time, and those of dead workers, go out again; gives how many."""
    with services.database.transaction() as tx:
        return hints.forget_fetched(tx, services.settings.lease_s) + hints.forget_lost(tx)


def notice_new_broker(services: Services) -> bool:
    """Whether the broker was restarted or emptied since anyone looked; then every hint is forgotten.

    The broker keeps its own run id under a key: a restart changes the id, a flush takes the key.
    Raises redis' errors and Unavailable.
    """
    # redis-py types every answer as perhaps awaitable, for the sake of its asyncio client.
    server: dict[str, str] = services.redis.info("server")  # type: ignore[assignment]
    run_id = server["run_id"]
    known = services.redis.get(EPOCH_KEY)
    if known == run_id.encode():
        return False
    with services.database.transaction() as tx:
        forgotten = hints.forget_all(tx)
    services.redis.set(EPOCH_KEY, run_id)
    level = logging.WARNING if forgotten else logging.DEBUG
    log.log(level, "the broker is new or was emptied: %d hints go out again", forgotten)
    return True


class BrokerWatch:
    """Looks once a second whether the broker lost the hints. Apart from the rest: Redis may hang."""

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        self._next_look = 0.0

    def tick(self) -> None:
        """Looks if it is time to. Raises Unavailable when Postgres or the broker does not answer."""
        now = self._monotonic()
        if now < self._next_look:
            return
        self._next_look = now + TICK_S
        try:
            notice_new_broker(self._services)
        except RedisError as error:
            raise Unavailable(f"the broker does not answer: {error}") from error


class BacklogMeter:
    """Measures what waits, at a pace that costs at most a twentieth of a connection."""

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        self._next_look = 0.0
        self._last: tuple[float, float] | None = None

    def tick(self) -> None:
        """Measures if it is time to. Raises Unavailable."""
        began = self._monotonic()
        if began < self._next_look:
            return
        with self._services.database.transaction() as tx:
            backlog.measure(tx, self._drained_per_s(began, backlog.finished(tx)))
        took_s = self._monotonic() - began
        self._next_look = began + max(TICK_S, MEASURE_SHARE * took_s)

    def _drained_per_s(self, now: float, finished: float) -> float:
        last, self._last = self._last, (now, finished)
        return max(0.0, (finished - last[1]) / (now - last[0])) if last else 0.0


class Rescue:
    """All that needs Postgres alone. What fails in one part keeps no other from its turn."""

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        meter = BacklogMeter(services, monotonic)
        parts = {
            "the reaper": _every(TICK_S, Reaper(services, monotonic).tick),
            "the backlog's meter": _every(TICK_S, meter.tick),
            "the end of overdue jobs": _every(TICK_S, partial(fail_overdue, services)),
            "the search for lost hints": _every(TICK_S, partial(republish_lost, services)),
            "the sweep": _every(SWEEP_S, self._sweep),
        }
        self._due_at = {Rounds(name, work, LONGEST_PAUSE_S): 0.0 for name, work in parts.items()}

    def tick(self) -> None:
        """Does what is due; what fails is logged and comes again."""
        for part, due_at in self._due_at.items():
            now = self._monotonic()
            if now >= due_at:
                self._due_at[part] = now + part.next()

    def _sweep(self) -> None:
        with self._services.database.transaction() as tx:
            counters.compact(tx)
            leases.forget_old(tx)


def _every(rest_s: float, work: Callable[[], object]) -> Callable[[], float]:
    """The work, which then rests so long."""

    def once() -> float:
        work()
        return rest_s

    return once
