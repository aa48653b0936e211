"""Batch statements of the journal, and what each ended call counts for in the metrics."""

from __future__ import annotations

from collections.abc import Sequence
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
    return [one for end in ends if end.call_id in closed for one in deltas(end)]


def record_steps(tx: Tx, steps: list[Step]) -> Sequence[None]:
    """Batch statement: records the outputs of steps."""
    journal.record_steps(tx, steps)
    return [None] * len(steps)


def deltas(end: CallEnd) -> list[Delta]:
    """What the end of a call counts for."""
    where = {"provider": end.provider, "model": MODEL_NAMES.label(end.provider, end.model)}
    duration_s = end.latency_ms / 1000
    found = [
        delta(metrics.LLM_REQUESTS, status=end.error_type or "ok", **where),
        delta(metrics.LLM_TOKENS, end.usage.input_tokens, direction="input", **where),
        delta(metrics.LLM_TOKENS, end.usage.output_tokens, direction="output", **where),
        delta(metrics.LLM_DURATION_BUCKET, le=metrics.bucket_of(duration_s), **where),
        delta(metrics.LLM_DURATION_SUM, duration_s, **where),
    ]
    if end.cost_micros is None:
        found.append(delta(metrics.LLM_UNKNOWN_COST, **where))
    else:
        found.append(delta(metrics.LLM_COST_DOLLARS, end.cost_micros / 1_000_000, **where))
        day = datetime.now(UTC).date().isoformat()
        found.append(delta(metrics.LLM_COST_MICROS_OF_DAY, end.cost_micros, day=day))
    return found
