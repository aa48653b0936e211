"""Counts and times requests for Prometheus: by the template of the route, never by a raw path.

Under gunicorn the values of each process lie in files, and `api.exposition` adds them up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

from factory import metrics
from factory.store.database import Database

SAMPLE_S = 1.0
"""How often the gauges are read: pool, connections."""

Reading = Callable[[], float]


class Amount(Protocol):
    """A counter or a gauge of prometheus_client."""

    def inc(self, amount: float = 1) -> None: ...


class Durations(Protocol):
    """A histogram of prometheus_client."""

    def observe(self, amount: float) -> None: ...


class Measured(NamedTuple):
    """What belongs to one method, route and status."""

    requests: Amount
    durations: Durations


class Meter:
    """The metrics of a process. A thread of its own, which starts with the first request, reads the gauges."""

    def __init__(self, database: Database) -> None:
        # Not at the top: its import reads the variable that gunicorn's main process sets before.
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram  # noqa: PLC0415

        self.registry = CollectorRegistry()
        labels = ("method", "route")
        self._requests = Counter(
            metrics.HTTP_REQUESTS,
            "Requests to the gateway.",
            (*labels, "status"),
            registry=self.registry,
        )
        self._durations = Histogram(
            metrics.HTTP_DURATION,
            "From a whole request to its answer; of requests that did not wait for a job.",
            (*labels, "status_class"),
            buckets=metrics.HTTP_BUCKETS_S,
            registry=self.registry,
        )
        self._gauges = {
            name: Gauge(name, text, registry=self.registry, multiprocess_mode="livesum")
            for name, text in metrics.GATEWAY_GAUGES.items()
        }
        self._in_flight = self._gauges[metrics.HTTP_IN_FLIGHT]
        self._measured: dict[tuple[str, str, int], Measured] = {}
        self._readings: dict[str, Reading] = {
            metrics.DATABASE_POOL_SIZE: lambda: database.pool_size,
            metrics.DATABASE_POOL_USED: lambda: database.pool_used,
        }
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        self._started = threading.Lock()

    def read(self, gauge: str, reading: Reading) -> None:
        """Has the gauge show what `reading` gives."""
        self._readings[gauge] = reading

    def begin(self) -> None:
        """A request is in flight."""
        self._in_flight.inc()

    def end(self, method: str, route: str, status: int, duration_s: float | None) -> None:
        """It has been answered; `duration_s` None: the client asked to wait."""
        self._in_flight.dec()
        self.count(method, route, status, duration_s)

    def count(self, method: str, route: str, status: int, duration_s: float | None = None) -> None:
        """Counts a request, also one whose head was refused."""
        key = (method, route, status)
        measured = self._measured.get(key) or self._measure(*key)
        measured.requests.inc()
        if duration_s is not None:
            measured.durations.observe(duration_s)

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(SAMPLE_S)

    def _measure(self, method: str, route: str, status: int) -> Measured:
        if self._started.acquire(blocking=False):
            self._thread.start()
        made = Measured(
            self._requests.labels(method, route, str(status)),
            self._durations.labels(method, route, f"{status // 100}xx"),
        )
        return self._measured.setdefault((method, route, status), made)

    def _run(self) -> None:
        while not self._stopped.wait(SAMPLE_S):
            for name, reading in list(self._readings.items()):
                self._gauges[name].set(reading())


class NoMeter:
    """Where ENABLE_METRICS is false."""

    def read(self, gauge: str, reading: Reading) -> None: ...
    def begin(self) -> None: ...
    def end(self, method: str, route: str, status: int, duration_s: float | None) -> None: ...
    def count(
        self, method: str, route: str, status: int, duration_s: float | None = None
    ) -> None: ...
    def stop(self) -> None: ...
