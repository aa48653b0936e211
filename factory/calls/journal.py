"""Batch statements of the journal, and what each ended call counts for in the metrics."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from factory import metrics
from factory.metrics import Delta, delta
from factory.store import counters, journal
from factory.store.database import Tx
from factory.store.journal import Call, CallEnd, Step

MODEL_NAMES = metrics.ModelNames()


def open_calls(tx: Tx, calls: list[Call]) -> Sequence[bool]:
    """Batch statement: commits intents; False for a call that may not be made."""
    allowed = journal.open_calls(tx, calls)
    return [call.id in allowed for call in calls]


def close_calls(tx: Tx, ends: list[CallEnd]) -> Sequence[None]:
    """Batch statement: commits ends, and counts each once."""
    counters.add(tx, metrics.add_up(record_ends(tx, ends)))
    return [None] * len(ends)


def settle_usage(tx: Tx, job_ids: list[UUID]) -> Sequence[None]:
    """Batch statement: brings the usage of ended jobs up to date, where it is not known in full."""
    journal.settle(tx, job_ids)
    return [None] * len(job_ids)


def record_ends(tx: Tx, ends: Sequence[CallEnd]) -> list[Delta]:
    """Commits ends without counting them; gives what is to be counted."""
    closed = journal.close_calls(tx, ends)
    return deltas(end for end in ends if end.call_id in closed)


def record_steps(tx: Tx, steps: list[Step]) -> Sequence[None]:
    """Batch statement: records the outputs of steps."""
    journal.record_steps(tx, steps)
    return [None] * len(steps)


def deltas(ends: Iterable[CallEnd]) -> list[Delta]:
    """What ended calls count for, added up by model and kind of end: a set often holds a hundred of one."""
    alike = defaultdict(list)
    for end in ends:
        alike[end.provider, end.model, end.error_type].append(end)
    return [one for some in alike.values() for one in _deltas_alike(some)]


def _deltas_alike(ends: Sequence[CallEnd]) -> list[Delta]:
    first = ends[0]
    where = {"provider": first.provider, "model": MODEL_NAMES.label(first.provider, first.model)}
    input_tokens = sum(end.usage.input_tokens for end in ends)
    output_tokens = sum(end.usage.output_tokens for end in ends)
    durations_s = [end.latency_ms / 1000 for end in ends]
    buckets = Counter(map(metrics.bucket_of, durations_s))
    return [
        delta(metrics.LLM_REQUESTS, len(ends), status=first.error_type or "ok", **where),
        delta(metrics.LLM_TOKENS, input_tokens, direction="input", **where),
        delta(metrics.LLM_TOKENS, output_tokens, direction="output", **where),
        *(delta(metrics.LLM_DURATION_BUCKET, n, le=le, **where) for le, n in buckets.items()),
        delta(metrics.LLM_DURATION_SUM, sum(durations_s), **where),
        *_cost_deltas(ends, where),
    ]


def _cost_deltas(ends: Sequence[CallEnd], where: Mapping[str, str]) -> Iterator[Delta]:
    known = [end.cost_micros for end in ends if end.cost_micros is not None]
    if len(known) < len(ends):
        yield delta(metrics.LLM_UNKNOWN_COST, len(ends) - len(known), **where)
    if known:
        yield delta(metrics.LLM_COST_DOLLARS, sum(known) / 1_000_000, **where)
        day = datetime.now(UTC).date().isoformat()
        yield delta(metrics.LLM_COST_MICROS_OF_DAY, sum(known), day=day)
