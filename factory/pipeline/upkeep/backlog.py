"""Measures what waits, for limits on new jobs and for metrics."""

from __future__ import annotations

import time
from collections.abc import Callable

from factory.domain.principal import PLATFORM
from factory.services import Services
from factory.store import backlog

LEAST_PAUSE_S = 1.0
MEASURE_SHARE = 20
"""The pause after a measurement, in times of what it took."""


class BacklogMeter:
    """Measures at a pace that uses at most a twentieth of a connection."""

    def __init__(self, services: Services, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._monotonic = monotonic
        self._next_look = 0.0
        self._last: tuple[float, float] | None = None

    def tick(self) -> None:
        """Measures, if it is time to. Raises Unavailable."""
        began = self._monotonic()
        if began < self._next_look:
            return
        with self._services.database.transaction(PLATFORM) as tx:
            backlog.measure(tx, self._drained_per_s(began, backlog.finished(tx)))
        took_s = self._monotonic() - began
        self._next_look = began + max(LEAST_PAUSE_S, MEASURE_SHARE * took_s)

    def _drained_per_s(self, now: float, finished: float) -> float:
        last, self._last = self._last, (now, finished)
        return max(0.0, (finished - last[1]) / (now - last[0])) if last else 0.0
