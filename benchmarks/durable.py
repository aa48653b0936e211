"""A job from its queue to its committed end, without latency: what the platform itself costs.

Ours are real jobs: claimed, asked of the provider over HTTP, journaled, and committed with result, usage and
ledger. Some peers' tasks make the same call and insert a row, the others' do nothing. All tasks are queued
first; then a worker starts on the measured core, beside everything else on the other. Ours and the
peers with a goal take turns, so that a machine that slows down does so for all. Also the dispatch
alone, without a worker.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TypeVar

from benchmarks.figures import Figure, Goal, at_least_times
from benchmarks.floor import PEER, at_least_per_s, measured
from benchmarks.peers import queues
from benchmarks.peers.queues import Peer
from benchmarks.stand import MEASURED_CORE, Scale, Stand, end, running_stand, until
from benchmarks.worker import submit
from factory.domain.job import new_id
from factory.domain.lanes import all_lanes
from factory.pipeline.dispatch.publish import dispatch
from factory.store import leases
from factory.store.archive import EVERY_JOB
from factory.store.database import rows
from workers.app import create_app
from workers.messages import Publisher

OURS = "ours"
T = TypeVar("T")
SLOTS = 1000
WINDOW = 2000
"""Slots that each round of dispatch may fill."""
PEERS: tuple[tuple[Peer, Goal | None, int], ...] = (
    (queues.DRAMATIQ_CALLS, at_least_times(0.9), 5000),
    (queues.DRAMATIQ_LITELLM, at_least_times(4), 800),
    (queues.PROCRASTINATE_CALLS, at_least_times(3), 1500),
    (queues.CELERY_NOOP, at_least_times(1), 5000),
    (queues.PROCRASTINATE, None, 2000),
    (queues.DRAMATIQ, None, 15_000),
    (queues.ARQ, None, 6000),
    (queues.TASKIQ, None, 10_000),
    (queues.SAQ, None, 6000),
)
"""The peers, with the goal beside each, and how many tasks take a few seconds. Only the first three do what our jobs
do: ask a provider and write the row. The others do nothing, and are measured for comparison.
"""
RATE = f"""
SELECT 0.8 * count(*) / extract(epoch FROM
           percentile_disc(0.9) WITHIN GROUP (ORDER BY finished_at)
         - percentile_disc(0.1) WITHIN GROUP (ORDER BY finished_at)) AS jobs_per_s
  FROM {EVERY_JOB} j
"""
"""The rate over the middle of a run, from the first tenth of its jobs to the ninth."""
UNENDED = "SELECT count(*) AS jobs FROM jobs WHERE finished_at IS NULL"


def figures(scale: Scale) -> Iterator[Figure]:
    """Goal 3."""
    jobs = 6000 if scale.quick else 20_000
    rounds = [_on_a_stand(lambda stand: _round(stand, scale, jobs)) for _ in range(scale.runs)]
    if not scale.quick:
        others = [(peer, tasks) for peer, goal, tasks in PEERS if goal is None]
        rounds.append(_on_a_stand(lambda stand: _rates_of(stand, others)))
    ours = median(one[OURS] for one in rounds if OURS in one)
    note = f"no latency, {SLOTS} slots, all committed"
    for peer, goal, _ in PEERS:
        if theirs := [one[peer.name] for one in rounds if peer.name in one]:
            name = f"durable_vs_{peer.name}"
            yield Figure(name, ours, "jobs/s", goal, median(theirs), peer.title, note)
    yield _on_a_stand(lambda stand: _of_dispatch(stand, jobs // WINDOW))


def _round(stand: Stand, scale: Scale, jobs: int) -> dict[str, float]:
    """Jobs/s of ours and of the peers with a goal, by name, one after the other."""
    ours = {OURS: _rate(stand, jobs)}
    beside = [(p, tasks // (2 if scale.quick else 1)) for p, goal, tasks in PEERS if goal]
    return ours | _rates_of(stand, beside)


def _rates_of(stand: Stand, peers: Sequence[tuple[Peer, int]]) -> dict[str, float]:
    return {peer.name: queues.measure(stand, peer, tasks) for peer, tasks in peers}


def _on_a_stand(measure: Callable[[Stand], T]) -> T:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
    ):
        return measure(stand)


def _rate(stand: Stand, jobs: int) -> float:
    """Our jobs/s with a worker and a dispatcher."""
    submit(stand, jobs, 0, "bulk")
    worker = stand.start_worker(SLOTS)
    dispatcher = stand.start("workers.dispatcher")
    until(lambda: _unended(stand) == 0, within_s=300)
    end(worker)
    end(dispatcher)
    with stand.services.database.transaction() as tx:
        return float(rows(tx, RATE)[0].jobs_per_s)


def _unended(stand: Stand) -> int:
    time.sleep(0.2)  # the count must cost the run nothing
    with stand.services.database.transaction() as tx:
        return int(rows(tx, UNENDED)[0].jobs)


def _of_dispatch(stand: Stand, rounds: int) -> Figure:
    rate, goal = _dispatch_rate(stand, rounds), at_least_per_s(20_000)
    calls_per_s = measured(stand.simulator_url, MEASURED_CORE).calls_per_s
    return Figure("dispatch", rate, "jobs/s", goal, calls_per_s, PEER, "bulk lane, no worker")


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
