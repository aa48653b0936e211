"""A job from its queue to its committed end, without latency: what the platform itself costs.

Ours are real jobs: claimed, asked of the provider over HTTP, journaled, and committed with result, usage and
ledger. The peers' tasks do nothing, or insert a row. All tasks are queued first; then a worker starts
on the measured core, beside everything else on the other. Also the dispatch alone, without a worker.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, Goal, at_least, at_least_times
from benchmarks.peers import queues
from benchmarks.peers.queues import Peer
from benchmarks.stand import MEASURED_CORE, Scale, Stand, end, median_of, running_stand, until
from benchmarks.worker import submit
from factory.domain.job import new_id
from factory.domain.lanes import all_lanes
from factory.pipeline.dispatch import dispatch
from factory.store import leases
from factory.store.database import rows
from workers.app import create_app
from workers.messages import Publisher

SLOTS = 1000
WINDOW = 2000
"""Slots that each round of dispatch may fill."""
PEERS: tuple[tuple[Peer, Goal | None, int], ...] = (
    (queues.CELERY_NOOP, at_least_times(1), 5000),
    (queues.PROCRASTINATE, at_least_times(5), 2000),
    (queues.DRAMATIQ, at_least_times(3), 15_000),
    (queues.DRAMATIQ_CALLS, None, 5000),
    (queues.ARQ, None, 6000),
    (queues.TASKIQ, None, 10_000),
    (queues.SAQ, None, 6000),
)
"""With the goal beside each, and how many tasks take it a few seconds."""
RATE = """
SELECT 0.8 * count(*) / extract(epoch FROM
           percentile_disc(0.9) WITHIN GROUP (ORDER BY finished_at)
         - percentile_disc(0.1) WITHIN GROUP (ORDER BY finished_at)) AS jobs_per_s
  FROM jobs
"""
"""Over the middle of a run, from the first tenth of its jobs to the ninth."""
UNENDED = "SELECT count(*) AS jobs FROM jobs WHERE finished_at IS NULL"


def figures(scale: Scale) -> Iterator[Figure]:
    """Goal 3."""
    jobs = 6000 if scale.quick else 20_000
    ours = median_of(scale.runs, lambda: _on_a_stand(lambda stand: _rate(stand, jobs)))
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
    ):
        for peer, goal, tasks in PEERS:
            if scale.quick and goal is None:
                continue
            runs = scale.runs if goal else 1
            asked = tasks // 2 if scale.quick else tasks
            theirs = median(queues.measure(stand, peer, asked) for _ in range(runs))
            note = f"no latency, {SLOTS} slots, all committed"
            yield Figure(f"durable_vs_{peer.name}", ours, "jobs/s", goal, theirs, peer.title, note)
    rate = _on_a_stand(lambda stand: _dispatch_rate(stand, jobs // WINDOW))
    yield Figure("dispatch", rate, "jobs/s", at_least(20_000), note="bulk lane, no worker")


def _on_a_stand(measure: Callable[[Stand], float]) -> float:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
    ):
        return measure(stand)


def _rate(stand: Stand, jobs: int) -> float:
    """Our jobs/s with a worker and a dispatcher."""
    submit(stand, jobs, 0, "bulk")
    worker = stand.start_worker(SLOTS)
    stand.start("workers.dispatcher")
    until(lambda: _unended(stand) == 0, within_s=300)
    end(worker)
    with stand.services.database.transaction() as tx:
        return float(rows(tx, RATE)[0].jobs_per_s)


def _unended(stand: Stand) -> int:
    time.sleep(0.2)  # the count is to cost the run nothing
    with stand.services.database.transaction() as tx:
        return int(rows(tx, UNENDED)[0].jobs)


def _dispatch_rate(stand: Stand, rounds: int) -> float:
    """Jobs/s that a dispatcher publishes while there is room, its servers on the other core."""
    submit(stand, rounds * WINDOW * 2, 0, "bulk")
    publisher = Publisher(create_app(stand.services.settings.redis_url))
    _add_worker(stand)
    dispatch(stand.services, publisher.send)  # connects
    published, took_s = 0, 0.0
    with on_the_measured_core():
        for _ in range(rounds):
            _add_worker(stand)
            started = time.perf_counter()
            published += dispatch(stand.services, publisher.send)
            took_s += time.perf_counter() - started
    return published / took_s


def _add_worker(stand: Stand) -> None:
    """A row that promises slots; nothing runs."""
    with stand.services.database.transaction() as tx:
        leases.register(tx, new_id(), hostname="bench", pid=1, lanes=all_lanes(), slots=WINDOW)


@contextmanager
def on_the_measured_core() -> Iterator[None]:
    """Holds the calling thread there until the block ends."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {MEASURED_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
