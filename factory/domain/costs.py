"""What a job costs each part, as docs/performance.md publishes it. A unit test compares the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job costs a part, and the figure of docs/performance.md that says so."""

    figure: str
    amount: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one job: CPU in ms, write-ahead log in KB, memory in MB a call in flight."""

    gateway_ms: tuple[Cost, ...]
    dispatcher_ms: tuple[Cost, ...]
    worker_ms: tuple[Cost, ...]
    postgres_ms: tuple[Cost, ...]
    valkey_ms: tuple[Cost, ...]
    wal_kb: tuple[Cost, ...]
    call_mb: tuple[Cost, ...]


SINGLE = Costs(
    gateway_ms=(Cost("gateway_post_cpu", 0.955),),
    dispatcher_ms=(Cost("part_run_single_dispatcher", 0.51),),
    worker_ms=(Cost("part_run_single_worker", 1.37),),
    postgres_ms=(
        Cost("part_post_postgres", 0.394),
        Cost("part_run_single_postgres", 0.822),
        Cost("part_archive_postgres", 0.054),
    ),
    valkey_ms=(Cost("part_post_redis", 0.01), Cost("part_run_single_redis", 0.025)),
    wal_kb=(
        Cost("part_post_wal", 0.82),
        Cost("part_run_single_wal", 4.51),
        Cost("part_archive_wal", 1.91),
    ),
    call_mb=(Cost("worker_memory_a_call_single", 0.039),),
)
"""Submitted one by one, in lanes whose messages hold one job."""
BULK = Costs(
    gateway_ms=(Cost("gateway_bulk", 0.042),),
    dispatcher_ms=(Cost("part_run_dispatcher", 0.105),),
    worker_ms=(Cost("part_run_worker", 0.939),),
    postgres_ms=(
        Cost("part_bulk_postgres", 0.0345),
        Cost("part_run_postgres", 0.516),
        Cost("part_archive_postgres", 0.054),
    ),
    valkey_ms=(Cost("part_run_redis", 0.0132),),
    wal_kb=(
        Cost("part_bulk_wal", 0.802),
        Cost("part_run_wal", 3.5),
        Cost("part_archive_wal", 1.91),
    ),
    call_mb=(Cost("worker_memory_a_call_batched", 0.0241),),
)
"""Submitted in bulk, with priority bulk."""


def total(costs: Sequence[Cost]) -> float:
    """All of them together."""
    return sum(one.amount for one in costs)
