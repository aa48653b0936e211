"""Restarts a worker that is idle while its lanes hold messages: it runs, but does not consume.

Such a worker still answers pings and sends heartbeats, so liveness is judged by its work.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence

from redis.exceptions import RedisError

from factory.pipeline.run.worker import Worker
from factory.pipeline.upkeep.periodic import PeriodicTask
from factory.services import Services
from workers.alive import AliveFile

LOOK_S = 2.0
EXIT_CODE = 70
"""EX_SOFTWARE: the supervisor starts the worker again. It holds no job, so nothing is lost."""

log = logging.getLogger(__name__)


def exit_process() -> None:
    """Ends the process at once, without clean-up that might hang."""
    os._exit(EXIT_CODE)


class ConsumptionWatch:
    """A thread that looks at the lanes while the worker is idle.

    `alive` is touched after each look that found the worker busy, or nothing for it to do.
    """

    def __init__(
        self,
        services: Services,
        worker: Worker,
        lanes: Sequence[str],
        give_up: Callable[[], None] = exit_process,
        alive: AliveFile | None = None,
    ) -> None:
        self._services = services
        self._worker = worker
        self._lanes = lanes
        self._give_up = give_up
        self._alive = alive or AliveFile()
        self._starving_since: float | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="consumption", daemon=True)

    def start(self) -> None:
        """Starts looking."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        task = PeriodicTask("the watch on consumption", self._look_once, longest_pause_s=LOOK_S)
        while not self._stopped.wait(task.run()):
            pass

    def _look_once(self) -> float:
        try:
            self._look()
        except RedisError as error:
            log.warning("the lanes cannot be seen: %s", error)
            self._starving_since = None
        if self._starving_since is None:
            self._alive.touch()
        return min(LOOK_S, self._services.settings.idle_restart_s / 3)

    def _look(self) -> None:
        if self._worker.running or self._worker.draining or not self._waiting():
            self._starving_since = None
            return
        now = time.monotonic()
        self._starving_since = self._starving_since or now
        if now - self._starving_since >= self._services.settings.idle_restart_s:
            log.critical(
                "idle for %.0f s while the lanes hold messages: restarting",
                now - self._starving_since,
            )
            self._give_up()

    def _waiting(self) -> int:
        """Messages on this worker's lanes."""
        with self._services.redis.pipeline(transaction=False) as pipeline:
            for lane in self._lanes:
                pipeline.llen(lane)
            return sum(pipeline.execute())
