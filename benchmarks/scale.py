"""Twice the worker processes, twice the jobs/s, as long as the cores are not full.

Every worker is held to the same small share of one core: its slots and the provider's latency bound what
it can do. Postgres, Redis, the dispatcher and the simulator share the other core.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.figures import Figure, at_least_times
from benchmarks.stand import Scale, Stand, running_stand, until
from benchmarks.worker import submit
from factory.store.archive import EVERY_JOB
from factory.store.database import rows

SLOTS, LATENCY_MS = 200, 1000
"""At most 200 jobs/s a worker: a fifth of a core."""
AT_LEAST_TIMES = {2: 1.8, 4: 3.2}
# Without the first and the last round of the slots: jobs end in waves, and so the time is counted from
# the end of one wave to the end of another.
RATE = f"""
SELECT count(*) * (1 - 2 * %(edge)s) / extract(epoch FROM
           percentile_disc(1 - %(edge)s) WITHIN GROUP (ORDER BY finished_at)
         - percentile_disc(%(edge)s) WITHIN GROUP (ORDER BY finished_at)) AS jobs_per_s
  FROM (SELECT finished_at FROM {EVERY_JOB} j WHERE finished_at IS NOT NULL
         ORDER BY finished_at DESC LIMIT %(jobs)s) latest
"""
# Uses the two indexes of live jobs: the query runs fifty times a second and must cost nothing.
LIVE = """
SELECT EXISTS (SELECT FROM jobs WHERE state = 'queued' AND published_at IS NULL)
    OR EXISTS (SELECT FROM jobs WHERE state = 'running' OR (state = 'queued' AND published_at IS NOT NULL))
       AS any
"""


def figures(scale: Scale) -> Iterator[Figure]:
    """Goal 7."""
    rounds = 3 if scale.quick else 20
    counts = (1, 2) if scale.quick else (1, 2, 4)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
    ):
        stand.start("workers.dispatcher")
        workers: list[psutil.Process] = []
        rates: dict[int, float] = {}
        for count in counts:
            while len(workers) < count:
                workers.append(psutil.Process(stand.start_worker(SLOTS).pid))
            rates[count], share = _measure(stand, workers, rounds)
            if count > 1:
                yield Figure(
                    f"scale_{count}",
                    rates[count],
                    "jobs/s",
                    at_least_times(AT_LEAST_TIMES[count]),
                    rates[1],
                    "one worker",
                    f"{SLOTS} slots, {LATENCY_MS} ms latency, {share:.0%} of a core a worker",
                )


def _measure(stand: Stand, workers: list[psutil.Process], rounds: int) -> tuple[float, float]:
    """Jobs/s, and the share of a core that a worker uses."""
    _run(stand, SLOTS * len(workers))  # warms caches and connections
    jobs, before_s = SLOTS * len(workers) * rounds, _cpu_s(workers)
    _run(stand, jobs)
    with stand.services.database.transaction() as tx:
        jobs_per_s = float(rows(tx, RATE, {"jobs": jobs, "edge": 1 / rounds})[0].jobs_per_s)
    share = (_cpu_s(workers) - before_s) / jobs * jobs_per_s / len(workers)
    return jobs_per_s, share


def _run(stand: Stand, jobs: int) -> None:
    """So many jobs from their submission to their end."""
    submit(stand, jobs, LATENCY_MS, "bulk")
    until(lambda: drained(stand), within_s=300)


def drained(stand: Stand) -> bool:
    """Whether every job has ended."""
    with stand.services.database.transaction() as tx:
        return not rows(tx, LIVE)[0].any


def _cpu_s(workers: list[psutil.Process]) -> float:
    return sum(sum(worker.cpu_times()[:2]) for worker in workers)
