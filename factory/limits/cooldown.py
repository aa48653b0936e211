"""Cooldowns: what may not be called until a time that its provider named. All workers share them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping

from redis import Redis

KEY = "factory:limiter:cooldowns"
"""A sorted set: names, and the end of each in milliseconds of the server's clock."""
LOOK_S = 1.0
"""How often a process reads what others have added."""
LEAST_S = 0.05
"""A cooldown that is prolonged by less stays as it is: many calls are answered with the same limit at once."""
LONGEST_S = 3600.0
STOP_S = 5.0

log = logging.getLogger(__name__)


class Cooldowns:
    """What cools down, as this process knows it: asking costs a look into two dicts.

    A thread writes what is added here, and once a second reads what other processes have added. While Redis is away,
    the process goes by what it has met itself.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._lock = threading.Lock()
        self._unshared: dict[str, float] = {}
        self._shared: Mapping[str, float] = {}
        self._away = False
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cooldowns", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; afterwards Redis may be closed."""
        self._stopped.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    @property
    def none(self) -> bool:
        """Whether nothing cools down. It may still be False for a while after the last cooldown has ended."""
        return not self._unshared and not self._shared

    def left_s(self, name: str) -> float:
        """How long `name` still cools down, in seconds; 0 or less if it does not."""
        until = max(self._unshared.get(name, 0.0), self._shared.get(name, 0.0))
        return until - time.monotonic()

    def add(self, name: str, wait_s: float) -> None:
        """Returns at once. `wait_s` counts as an hour at most."""
        wait_s = min(wait_s, LONGEST_S)
        if wait_s - max(self.left_s(name), 0.0) < LEAST_S:
            return
        with self._lock:
            self._unshared[name] = time.monotonic() + wait_s
        self._wanted.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wanted.clear()
            try:
                self._exchange()
            # Whatever Redis holds there: a thread that ended here would share nothing any more.
            except Exception as error:  # noqa: BLE001
                self._note(error)
            else:
                self._note(None)
            self._wanted.wait(LOOK_S)

    def _exchange(self) -> None:
        with self._lock:
            added = dict(self._unshared)
        if added:
            self._write(added)
        self._read()
        with self._lock:
            for name, until in added.items():
                if self._unshared[name] == until:
                    del self._unshared[name]

    def _write(self, added: Mapping[str, float]) -> None:
        """A longer cooldown of another process stays."""
        server_time: tuple[int, int] = self._redis.time()  # type: ignore[assignment]
        now_s, now_ms = time.monotonic(), _server_ms(server_time)
        ends = {name: now_ms + round((until - now_s) * 1000) for name, until in added.items()}
        with self._redis.pipeline() as pipeline:
            pipeline.zadd(KEY, ends, gt=True)
            pipeline.zremrangebyscore(KEY, "-inf", now_ms)
            pipeline.pexpire(KEY, round(LONGEST_S * 1000))
            pipeline.execute()

    def _read(self) -> None:
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.time()
            pipeline.zrange(KEY, 0, -1, withscores=True)
            server_time, ends = pipeline.execute()
        now_s, now_ms = time.monotonic(), _server_ms(server_time)
        left_s = {name.decode(): (end - now_ms) / 1000 for name, end in ends}
        self._shared = {
            name: now_s + min(left, LONGEST_S) for name, left in left_s.items() if left > 0
        }

    def _note(self, error: Exception | None) -> None:
        """Logs once that Redis went away, or holds what cannot be read, and once that all is well again."""
        away = error is not None
        if away and not self._away:
            log.warning("rate limits are not shared, the limiter's Redis fails: %s", error)
        elif self._away and not away:
            log.info("rate limits are shared again")
        self._away = away


def _server_ms(server_time: tuple[int, int]) -> int:
    seconds, microseconds = server_time
    return seconds * 1000 + microseconds // 1000
