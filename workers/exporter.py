"""The metrics exporter: `python -m workers.exporter`. It reads Postgres, so it covers all processes."""

from __future__ import annotations

import argparse
import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from factory import metrics
from factory.config import settings_or_exit
from factory.domain.lanes import all_lanes
from factory.domain.principal import PLATFORM
from factory.domain.state import State
from factory.errors import Unavailable
from factory.log import configure_logging
from factory.metrics import Delta, add_up, delta
from factory.services import Services, connect
from factory.signal_calls import on_stop
from factory.store import backups, counters, jobs, journal, leases, restores

COUNTERS = {
    metrics.JOBS_FINISHED: ("Jobs that reached a final state.", ("lane", "state")),
    metrics.LLM_REQUESTS: ("Physical calls to providers.", ("provider", "model", "status")),
    metrics.LLM_TOKENS: ("Tokens of calls.", ("provider", "model", "direction")),
    metrics.LLM_COST_DOLLARS: ("Known cost of calls in US dollars.", ("provider", "model")),
    metrics.LLM_UNKNOWN_COST: ("Calls whose cost is not known.", ("provider", "model")),
    metrics.LOOP_BLOCKED_S: (
        "Time in which a worker's loop stood still, beyond half a second.",
        (),
    ),
    metrics.LEASES_EXPIRED: ("Jobs that were taken back from workers that had died.", ()),
    metrics.DISPATCH_ROUNDS: ("Rounds of all dispatchers.", ()),
    metrics.LOOP_RESTARTS: ("Workers that ended because their loop stood still.", ()),
}
LIVE_STATES = (State.QUEUED, State.RUNNING, State.WAITING)
HISTOGRAM = "llm_request_duration_seconds"

log = logging.getLogger(__name__)


class DatabaseCollector:
    """Reads the metrics anew at each scrape."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """`factory_up` 0 and nothing else when Postgres does not answer."""
        up = GaugeMetricFamily("factory_up", "Whether Postgres answered this scrape.")
        try:
            found = list(self._read())
        except Unavailable as error:
            log.warning("empty scrape: %s", error)
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from found

    def _read(self) -> Iterator[Metric]:
        with self._services.database.transaction(PLATFORM) as tx:
            depths = jobs.depths(tx)
            totals = counters.totals(tx)
            workers = leases.workers(tx, self._services.settings.lease_s)
            unknown = journal.open_calls_left(tx)
            newest, held = backups.newest(tx), restores.undecided(tx)
        daily = _cost_micros_today(totals)
        totals = _bounded(totals)
        yield from _depth_metrics(depths)
        yield from _counter_metrics(totals)
        yield _histogram(totals)
        yield _gauge(metrics.LLM_DAILY_COST_DOLLARS, "Known cost since 00:00 UTC.", daily / 1e6)
        yield _gauge("workers_live", "Workers with a live lease.", sum(w.live for w in workers))
        yield _gauge(
            "llm_calls_abandoned", "Calls without an end, of jobs that no worker runs.", unknown
        )
        yield _gauge(
            "dispatch_held", "1 while jobs wait for a decision after a restore.", bool(held)
        )
        yield from _backup_metrics(newest)


def _cost_micros_today(totals: Iterable[Delta]) -> float:
    day = ("day", datetime.now(UTC).date().isoformat())
    ofs = [one for one in totals if one.metric == metrics.LLM_COST_MICROS_OF_DAY]
    return sum(one.amount for one in ofs if day in one.labels)


def _bounded(totals: Sequence[Delta]) -> list[Delta]:
    """The same sums, with the most used models of each provider by name and the rest as `other`."""
    calls: dict[str, Counter[str]] = defaultdict(Counter)
    for one in totals:
        if one.metric == metrics.LLM_REQUESTS:
            labels = dict(one.labels)
            calls[labels["provider"]][labels["model"]] += one.amount  # type: ignore[assignment]
    shown = {
        (provider, model)
        for provider, models in calls.items()
        for model, _ in models.most_common(metrics.MODELS_OF_PROVIDER)
    }
    return add_up(_named(one, shown) for one in totals)


def _named(one: Delta, shown: Set[tuple[str, str]]) -> Delta:
    labels = dict(one.labels)
    if "model" not in labels or (labels.get("provider", ""), labels["model"]) in shown:
        return one
    return delta(one.metric, one.amount, **{**labels, "model": metrics.OTHER})


def _gauge(name: str, help_text: str, value: float) -> Metric:
    gauge = GaugeMetricFamily(name, help_text)
    gauge.add_metric([], value)
    return gauge


def _depth_metrics(depths: Iterable[jobs.LaneDepth]) -> Iterator[Metric]:
    depth = GaugeMetricFamily("queue_depth", "Live jobs.", labels=["lane", "state"])
    age = GaugeMetricFamily(
        "queue_oldest_age_seconds", "Age of the oldest due job.", labels=["lane"]
    )
    live = {(one.lane, one.state): one for one in depths}
    # An empty lane is 0, not absent: an alert on a missing series never fires.
    for lane in all_lanes():
        for state in LIVE_STATES:
            found = live.get((lane, state))
            depth.add_metric([lane, state], found.jobs if found else 0)
        queued = live.get((lane, State.QUEUED))
        age.add_metric([lane], queued.oldest_age_s if queued else 0)
    yield depth
    yield age


BACKUPS = ("dump", "base")


def _backup_metrics(newest: Iterable[backups.Newest]) -> Iterator[Metric]:
    """Times of the newest backups; 0 for a kind without any."""
    made = GaugeMetricFamily(
        "backup_last_success_timestamp_seconds", "The newest backup's end.", labels=["kind"]
    )
    verified = GaugeMetricFamily(
        "backup_last_verified_timestamp_seconds",
        "When the newest backup was restored and compared; 0 if it has not been.",
        labels=["kind"],
    )
    found = {one.kind: one for one in newest}
    for kind in BACKUPS:
        one = found.get(kind)
        made.add_metric([kind], one.finished_at.timestamp() if one else 0)
        checked = one.verified_at if one else None
        verified.add_metric([kind], checked.timestamp() if checked else 0)
    yield from (made, verified)


def _counter_metrics(totals: Iterable[Delta]) -> Iterator[Metric]:
    families = {
        name: CounterMetricFamily(name, text, labels=labels)
        for name, (text, labels) in COUNTERS.items()
    }
    for one in totals:
        if one.metric in families:
            labels = dict(one.labels)
            names = COUNTERS[one.metric][1]
            families[one.metric].add_metric([labels.get(n, "") for n in names], one.amount)
    for name, family in families.items():
        if not family.samples and not COUNTERS[name][1]:
            family.add_metric([], 0)
    yield from families.values()


def _histogram(totals: Iterable[Delta]) -> Metric:
    """Adds the stored buckets up to cumulative ones, as Prometheus expects."""
    counts: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for one in totals:
        labels = dict(one.labels)
        key = (labels.get("provider", ""), labels.get("model", ""))
        if one.metric == metrics.LLM_DURATION_BUCKET:
            counts[key][labels["le"]] = one.amount
        elif one.metric == metrics.LLM_DURATION_SUM:
            sums[key] = one.amount
    family = HistogramMetricFamily(
        HISTOGRAM, "Time from request to answer.", labels=["provider", "model"]
    )
    for key, by_bound in counts.items():
        total, buckets = 0.0, []
        for bound in [*map(str, metrics.DURATION_BUCKETS_S), "+Inf"]:
            total += by_bound.get(bound, 0.0)
            buckets.append((bound, total))
        family.add_metric(list(key), buckets, sums[key])
    return family


def main() -> None:
    """Serves /metrics until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="workers.exporter", description=__doc__)
    parser.add_argument("--host", default=None)
    parser.add_argument("--port", type=int, default=None)
    options = parser.parse_args()
    settings = settings_or_exit("workers.exporter")
    configure_logging(settings, "exporter")
    registry = CollectorRegistry()
    registry.register(DatabaseCollector(connect(settings, "exporter")))
    stopping = threading.Event()
    on_stop(stopping.set)
    server, thread = start_http_server(
        options.port or settings.metrics_port,
        options.host or settings.metrics_host,
        registry=registry,
    )
    stopping.wait()
    server.shutdown()
    thread.join()


if __name__ == "__main__":
    main()
