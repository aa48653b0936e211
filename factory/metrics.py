"""What is counted, under which names and labels. Counts of jobs live in Postgres, so one exporter tells the truth.

A process adds up `Delta`s and writes them with the transaction that they belong to (`store.counters`);
nothing is lost with a process, and nothing is counted that was not committed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

JOBS_FINISHED = "jobs_finished_total"
LLM_REQUESTS = "llm_requests_total"
LLM_TOKENS = "llm_tokens_total"
LLM_COST_DOLLARS = "llm_cost_dollars_total"
LLM_DAILY_COST_DOLLARS = "llm_daily_cost_dollars"
LLM_COST_MICROS_OF_DAY = "llm_cost_micros_of_day"
"""Known cost by the UTC day on which calls ended: a running sum, where the calls of a day are millions."""
LLM_UNKNOWN_COST = "llm_unknown_cost_calls_total"
LLM_DURATION_BUCKET = "llm_request_duration_seconds_bucket"
LLM_DURATION_SUM = "llm_request_duration_seconds_sum"
LOOP_BLOCKED_S = "worker_loop_blocked_seconds_total"
LOOP_RESTARTS = "worker_loop_restarts_total"
LEASES_EXPIRED = "leases_expired_total"
DISPATCH_ROUNDS = "dispatch_rounds_total"

# Of the gateway, which counts for itself: what Postgres cannot take must be seen too.
HTTP_REQUESTS = "http_requests_total"
HTTP_DURATION = "http_request_duration_seconds"
HTTP_IN_FLIGHT = "http_requests_in_flight"
HTTP_WAITING = "http_requests_waiting"
HTTP_CONNECTIONS = "http_connections"
DATABASE_POOL_SIZE = "database_pool_size"
DATABASE_POOL_USED = "database_pool_used"
GATEWAY_GAUGES: Mapping[str, str] = MappingProxyType(
    {
        HTTP_IN_FLIGHT: "Requests that are not answered yet, those that wait for a job with them.",
        HTTP_WAITING: "Requests that wait for a job without a thread.",
        HTTP_CONNECTIONS: "Open connections of clients.",
        DATABASE_POOL_SIZE: "Connections to Postgres that the processes may have.",
        DATABASE_POOL_USED: "Connections to Postgres that are in use.",
    }
)
HTTP_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

DURATION_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of the latency histogram; `+Inf` follows."""

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """An amount to add to one counter. Labels never hold an id of a job or a project."""

    metric: str
    labels: Labels
    amount: float


def delta(metric: str, amount: float = 1.0, /, **labels: str) -> Delta:
    """A Delta with its labels in one order."""
    return Delta(metric, tuple(sorted(labels.items())), amount)


def bucket_of(duration_s: float) -> str:
    """The `le` of the smallest bucket that holds the duration. Buckets are stored apart, not cumulated."""
    for bound in DURATION_BUCKETS_S:
        if duration_s <= bound:
            return str(bound)
    return "+Inf"


MODELS_OF_PROVIDER = 100
OTHER = "other"


class ModelNames:
    """Bounds the label `model`: anybody may name models that nobody has heard of."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}

    def label(self, provider: str, model: str) -> str:
        """The model, or `other` once a process has met 100 of this provider."""
        known = self._known.setdefault(provider, set())
        if model not in known:
            if len(known) >= MODELS_OF_PROVIDER:
                return OTHER
            known.add(model)
        return model


def add_up(deltas: Iterable[Delta]) -> list[Delta]:
    """The same amounts with one Delta per counter."""
    sums: Counter[tuple[str, Labels]] = Counter()
    for one in deltas:
        sums[one.metric, one.labels] += one.amount  # type: ignore[assignment]
    return [Delta(metric, labels, amount) for (metric, labels), amount in sums.items()]
