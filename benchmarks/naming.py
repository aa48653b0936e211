"""What it costs that a transaction names its projects to Postgres: the same statement with and without, in turn."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from uuid import UUID

from benchmarks.figures import Figure, Goal, at_most_times
from benchmarks.stand import Scale, running_stand
from factory.domain.job import Kind, NewJob, new_id
from factory.domain.lanes import Priority
from factory.domain.principal import PLATFORM, Principal
from factory.store import jobs
from factory.store.database import Tx
from factory.store.details import get_details

PROJECT = UUID("018f0000-0000-7000-8000-000000000001")
OWNER = Principal(frozenset({PROJECT}), "bench")
SEVERAL = Principal(frozenset({PROJECT, *(new_id() for _ in range(19))}), "bench")
NAMED_TIMES = 1.25
"""Naming takes 50 to 100 us of a statement that takes 430 to 560."""
RUNS = 20
"""In one turn of each."""
UNNAMED = "the same without naming"


def figures(scale: Scale) -> Iterator[Figure]:
    """A read and a write as the gateway makes them. What a batch of twenty costs more is shared by twenty callers."""
    turns = 40 if scale.quick else 400
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
    ):
        job = _job()
        with stand.services.database.transaction(PLATFORM) as tx:
            jobs.insert(tx, [job])

        def read(tx: Tx) -> object:
            return get_details(tx, [(PROJECT, job.id)])

        def write(tx: Tx) -> object:
            return jobs.accept(tx, [_job()])

        autocommit, transaction = (
            stand.services.database.autocommit,
            stand.services.database.transaction,
        )
        yield _of("read", autocommit, read, OWNER, turns, at_most_times(NAMED_TIMES))
        yield _of("read_20", autocommit, read, SEVERAL, turns)
        yield _of("write", autocommit, write, OWNER, turns, at_most_times(NAMED_TIMES))
        yield _of("transaction", transaction, write, OWNER, turns, at_most_times(NAMED_TIMES))


def _of(
    name: str,
    opened: Callable[[Principal], AbstractContextManager[Tx]],
    work: Callable[[Tx], object],
    who: Principal,
    turns: int,
    goal: Goal | None = None,
) -> Figure:
    named, unnamed = list[float](), list[float]()
    for _ in range(turns):
        for took_us, one in ((named, who), (unnamed, PLATFORM)):
            started = time.perf_counter()
            for _ in range(RUNS):
                with opened(one) as tx:
                    work(tx)
            took_us.append((time.perf_counter() - started) / RUNS * 1e6)
    ours, peer = median(named), median(unnamed)
    note = f"{ours - peer:+.0f} us; {len(who.projects)} projects, {turns} turns of {RUNS}"
    return Figure(f"naming_{name}", ours, "us", goal, peer, UNNAMED, note)


def _job() -> NewJob:
    return NewJob(
        id=new_id(),
        project_id=PROJECT,
        kind=Kind.COMPLETION,
        provider="openai",
        priority=Priority.NORMAL,
        input={"messages": [{"role": "user", "content": "What is a queue?"}]},
        model="openai/gpt-4o-mini",
    )
