"""Watches for a blocked loop: logs and counts it, and ends the process if it stays blocked.

Code that blocks the loop stalls every job of the process, while the heartbeat's thread keeps their leases, so that
no reaper takes them back. Code that is known to block runs in child processes; this is for the rest.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from factory import metrics
from factory.domain.job import public_id
from factory.domain.principal import PLATFORM
from factory.errors import Unavailable
from factory.metrics import Delta, delta
from factory.pipeline.run.worker import Worker
from factory.store import counters, quarantine
from workers.watchdog import exit_process

PROBE_PERIOD_S = 0.25
LAG_LIMIT_S = 0.5
STEP_S = 0.1
STACK_DEPTH = 4
TELL_S = 2.0
"""How long a restart waits for Postgres to record the block."""

log = logging.getLogger(__name__)


class LoopWatch:
    """A thread that probes the loop on which it is made.

    When the loop has been blocked for `restart_s`, `tell` gets the job that blocked it all that time, and `give_up` is
    called. Time in which the whole process was stopped does not count. Code that also holds the interpreter lock
    keeps this thread from running: then the kernel ends the process (SIGPROF) after twice that CPU time.
    """

    def __init__(
        self,
        restart_s: float,
        *,
        job_of: Callable[[asyncio.Task[Any] | None], UUID | None] = lambda _task: None,
        tell: Callable[[Sequence[Delta], UUID | None], None] = lambda _deltas, _culprit: None,
        give_up: Callable[[], None] = exit_process,
    ) -> None:
        self._restart_s = restart_s
        self._job_of = job_of
        self._tell = tell
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)

    def start(self) -> None:
        """Probes the loop every PROBE_PERIOD_S. The kernel's timer is set first: the first message may block at once."""
        self._rearm()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        self._thread.join(LAG_LIMIT_S * 2)
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _watch(self) -> None:
        while not self._stopping.wait(PROBE_PERIOD_S):
            self._rearm()
            answered = threading.Event()
            try:
                self._loop.call_soon_threadsafe(answered.set)
            except RuntimeError:
                return  # it is closed
            if not answered.wait(LAG_LIMIT_S):
                self._follow(answered)

    def _rearm(self) -> None:
        if not self._stopping.is_set():
            signal.setitimer(signal.ITIMER_PROF, 2 * self._restart_s)

    def _follow(self, answered: threading.Event) -> None:
        """Follows a block to its end. Counts its own steps, not a clock, as the whole process may have slept."""
        blocked_s, job_id = LAG_LIMIT_S, self._job()
        named = {"job_id": public_id(job_id) if job_id else None}
        log.warning(
            "the loop is blocked for over %s s by %s",
            LAG_LIMIT_S,
            self._stack(),
            extra=named,
        )
        while not answered.wait(STEP_S) and not self._stopping.is_set():
            self._rearm()
            blocked_s += STEP_S
            if blocked_s >= self._restart_s:
                self._end(blocked_s, job_id)
                return
        log.warning("the loop was blocked for %.1f s", blocked_s, extra=named)
        self._tell([delta(metrics.LOOP_BLOCKED_S, blocked_s)], None)

    def _end(self, blocked_s: float, job_id: UUID | None) -> None:
        log.critical(
            "the loop stands still for %.0f s: restarting; it is in %s",
            blocked_s,
            self._stack(),
            extra={"job_id": public_id(job_id) if job_id else None},
        )
        deltas = [delta(metrics.LOOP_BLOCKED_S, blocked_s), delta(metrics.LOOP_RESTARTS)]
        culprit = job_id if job_id == self._job() else None
        telling = threading.Thread(target=self._tell, args=(deltas, culprit), daemon=True)
        telling.start()
        telling.join(TELL_S)
        self._give_up()

    def _job(self) -> UUID | None:
        return self._job_of(asyncio.current_task(self._loop))

    def _stack(self) -> str:
        """The innermost calls on one line, the innermost first."""
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None:
            return "an unknown stack"
        calls = reversed(traceback.extract_stack(frame, limit=STACK_DEPTH))
        return ", in ".join(
            f"{call.line} ({Path(call.filename).name}:{call.lineno})" for call in calls
        )


def watch_loop(worker: Worker) -> LoopWatch:
    """Starts the watch over a worker's loop; called on that loop."""

    def tell(deltas: Sequence[Delta], culprit: UUID | None) -> None:
        try:
            with worker.services.database.transaction(PLATFORM, TELL_S) as tx:
                counters.add(tx, deltas)
                if culprit:
                    quarantine.isolate(tx, culprit, worker.id)
        except Unavailable as error:
            log.warning("could not count the blocked loop: %s", error)

    watch = LoopWatch(
        worker.services.settings.loop_restart_s,
        job_of=worker.job_of,
        tell=tell,
        give_up=exit_process,
    )
    watch.start()
    return watch
