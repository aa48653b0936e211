"""Wakes the dispatcher up when there is work, at no cost to the caller."""

from __future__ import annotations

import logging
import threading

from redis import Redis
from redis.exceptions import RedisError

CHANNEL = "factory:poke"
"""Programs of earlier releases publish and listen on this name as well."""
PAUSE_S = 0.005
"""Wake-ups within this time are sent as one."""
STOP_S = 5.0
"""Longer than a publish can hang."""

log = logging.getLogger(__name__)


class WakeUpSender:
    """A thread that publishes wake-ups. A lost one does no harm: the dispatcher also looks by itself."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wake-ups", daemon=True)
        self._started = threading.Lock()

    def send(self) -> None:
        """Returns at once. The first call starts the thread, so a process may fork before it."""
        if self._wanted.is_set():
            return  # the next one is sent after this call
        if not self._thread.is_alive() and self._started.acquire(blocking=False):
            self._thread.start()
        self._wanted.set()

    def stop(self) -> None:
        """Ends the thread; afterwards Redis may be closed."""
        self._stopped.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while self._wanted.wait() and not self._stopped.is_set():
            self._wanted.clear()
            try:
                self._redis.publish(CHANNEL, b"1")
            except RedisError as error:
                log.warning(
                    "wake-up not sent, the dispatcher finds the job at its next tick: %s", error
                )
                self._stopped.wait(1.0)
            self._stopped.wait(PAUSE_S)
