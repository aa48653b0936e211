"""One worker on one core: jobs/s, CPU a job and memory, with everything committed in Postgres.

A job counts when its result, usage and ledger are committed. The rate is taken over the middle of the
run: from the first tenth of the jobs to the ninth. One run by hand, as one line of JSON:

    python -m benchmarks.worker --jobs 10000 --slots 1000 --latency-ms 1000 --priority bulk
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.figures import Figure, at_least_times, at_most, at_most_times
from benchmarks.floor import PEER, Floor, at_least_per_s, at_most_ms, measured
from benchmarks.peers.celery_litellm import PeerFigures, measure_celery_litellm
from benchmarks.stand import MEASURED_CORE, Scale, Stand, running_stand
from factory.domain.principal import Principal
from factory.kinds.request import JobRequest
from factory.limits.backlog import Backpressure
from factory.llm.catalog import load_catalog
from factory.pipeline.accept.bulk import Bulks, Line
from factory.pipeline.accept.submit import Intake
from factory.pipeline.wakeup import WakeUpSender
from factory.store import projects
from factory.store.archive import EVERY_INPUT, EVERY_JOB
from factory.store.database import rows

MODEL = "openai/gpt-4o-mini"
BULK = 5000
WARM = 100
"""Jobs that open the connections and fill the caches."""
PACE, SPREAD = 0.8, 0.5
"""The share of its best rate at which a worker's overhead is measured. Its jobs take from half to one and a half times
as long, so that they do not come in waves. At its best rate, a worker's delay depends only on its slots.
"""
SETTLED = 0.6
"""The share of those jobs that counts, the latest ones: the first ones start in all slots at the same moment."""
DEADLINE_S = 600.0
LATE = rf"""
SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY over_ms) AS p99_ms
  FROM (SELECT 1000 * extract(epoch FROM j.finished_at - j.started_at)
               - substring(p.input::text FROM 'latency_ms=(\d+)')::float8 AS over_ms
          FROM {EVERY_JOB} j JOIN {EVERY_INPUT} p ON p.job_id = j.id
         WHERE j.finished_at IS NOT NULL ORDER BY j.finished_at DESC LIMIT %(jobs)s) late
"""
"""How much longer a job took from its claim to its end than the provider did."""


@dataclass(frozen=True)
class Run:
    """What one run showed; memory is the worker's resident set in megabytes."""

    jobs: int
    slots: int
    latency_ms: int
    priority: str
    jobs_per_s: float
    cpu_ms_per_job: float
    rest_mb: float
    peak_mb: float
    peak_in_flight: int
    kb_per_call: float
    overhead_p99_ms: float
    floor: Floor
    """Right after it."""


def figures(scale: Scale) -> Iterator[Figure]:
    """Goal 1: a thousand and more calls in flight, beside Celery's pools with litellm."""
    seconds = 2 if scale.quick else 12
    slots = 2000
    batched = measure(seconds * slots, slots, 1000, "bulk")
    single = measure(seconds * slots, slots, 1000, "normal")
    yield from _of(batched, "batched", cpu_ms=0.65)
    yield from _of(single, "single", cpu_ms=0.95)
    if not scale.quick:
        for run, name in ((batched, "batched"), (single, "single")):
            yield _calm(run, name, seconds)
        slow = measure(16_000, 4000, 5000, "bulk")
        yield Figure("worker_4000_slots_memory", slow.peak_mb, "MB", at_most(450))
    yield from _beside_celery(batched, scale)


def _of(run: Run, name: str, cpu_ms: float) -> Iterator[Figure]:
    """One way of a job to the worker: a message for up to 32, or for one."""
    note = f"1 s latency, {run.slots} slots"
    memory_mb = run.kb_per_call / 1000
    floor, rate, cost = run.floor, run.jobs_per_s, run.cpu_ms_per_job
    goal = at_least_per_s(900)
    yield Figure(f"worker_rate_{name}", rate, "jobs/s", goal, floor.calls_per_s, PEER, note)
    yield Figure(f"worker_cpu_{name}", cost, "ms", at_most_ms(cpu_ms), floor.call_ms, PEER, note)
    yield Figure(f"worker_memory_{name}", run.peak_mb, "MB", at_most(300), note=note)
    yield Figure(f"worker_memory_a_call_{name}", memory_mb, "MB", at_most(0.06), note=note)


def _calm(full: Run, name: str, seconds: int) -> Figure:
    """What a job waits for others on a worker whose slots leave it a little less than it can do."""
    slots = int(PACE * full.jobs_per_s * full.latency_ms / 1000)
    jobs = slots * seconds
    with _warm_worker(slots, full.priority) as (stand, worker):
        submit(stand, jobs, full.latency_ms, full.priority, spread=SPREAD)
        samples = samples_until(stand, worker, WARM + jobs)
        p99_ms = _overhead_p99_ms(stand, int(SETTLED * jobs))
        floor = measured(stand.simulator_url, MEASURED_CORE)
    rate = middle_of(samples, WARM, jobs).jobs_per_s
    note = f"beyond the provider's 1 s, {slots} slots, {rate:,.0f} jobs/s"
    title, goal = f"worker_overhead_p99_{name}", at_most_ms(80)
    return Figure(title, p99_ms, "ms", goal, floor.wall_ms, PEER, note)


def _beside_celery(ours: Run, scale: Scale) -> Iterator[Figure]:
    pools = [("prefork", 8, 24 if scale.quick else 80, 100.0)]
    if not scale.quick:
        pools.append(("threads", 100, 400, None))
    rate, memory = ours.jobs_per_s, ours.kb_per_call / 1000
    for name, concurrency, jobs, times in pools:
        peer = _celery(name, concurrency, jobs)
        title = f"Celery {name} + litellm"
        yield Figure(
            f"worker_rate_vs_{name}",
            rate,
            "jobs/s",
            at_least_times(times) if times else None,
            peer.jobs_per_s,
            title,
        )
        yield Figure(
            f"worker_memory_a_call_vs_{name}",
            memory,
            "MB",
            at_most_times(1 / 500) if times else None,
            peer.memory_mb / peer.in_flight,
            title,
        )


def _celery(pool: str, concurrency: int, jobs: int) -> PeerFigures:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
    ):
        return measure_celery_litellm(stand, pool, concurrency, jobs, 1000)


def measure(jobs: int, slots: int, latency_ms: int, priority: str) -> Run:
    """One run on a fresh platform."""
    with _warm_worker(slots, priority) as (stand, worker):
        rest_mb = worker.memory_info().rss / 1e6
        submit(stand, jobs, latency_ms, priority)
        samples = samples_until(stand, worker, WARM + jobs)
        overhead_p99_ms = _overhead_p99_ms(stand, jobs)
        floor = measured(stand.simulator_url, MEASURED_CORE)
    middle = middle_of(samples, WARM, jobs)
    peak = max(samples, key=lambda sample: sample.rss_mb)
    in_flight = max(sample.running for sample in samples)
    return Run(
        jobs,
        slots,
        latency_ms,
        priority,
        jobs_per_s=round(middle.jobs_per_s, 1),
        cpu_ms_per_job=round(middle.cpu_ms_per_job, 3),
        rest_mb=round(rest_mb, 1),
        peak_mb=round(peak.rss_mb, 1),
        peak_in_flight=in_flight,
        kb_per_call=round(1000 * (peak.rss_mb - rest_mb) / max(1, in_flight), 1),
        overhead_p99_ms=round(overhead_p99_ms, 1),
        floor=floor,
    )


@contextmanager
def _warm_worker(slots: int, priority: str) -> Iterator[tuple[Stand, psutil.Process]]:
    """A worker that has run a few jobs, on a fresh platform."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
    ):
        stand.start("workers.dispatcher")
        worker = psutil.Process(stand.start_worker(slots).pid)
        submit(stand, WARM, 0, priority)
        samples_until(stand, worker, WARM)
        yield stand, worker


def _overhead_p99_ms(stand: Stand, jobs: int) -> float:
    """Of the latest so many jobs."""
    with stand.services.database.transaction() as tx:
        return float(rows(tx, LATE, {"jobs": jobs})[0].p99_ms)


def submit(stand: Stand, jobs: int, latency_ms: int, priority: str, *, spread: float = 0.0) -> None:
    """So many jobs, in bulk, as a caller of the gateway does. `spread` 0.5: half to one and a half times
    the latency.
    """
    dice = random.Random(1)
    requests = []
    for n in range(jobs):
        takes_ms = round(latency_ms * dice.uniform(1 - spread, 1 + spread))
        prompt = f"{{{{simulate latency_ms={takes_ms}}}}} {n}"
        body = {"model": MODEL, "input": prompt, "priority": priority}
        requests.append(JobRequest.model_validate(body))
    accept(stand, requests)


def accept(stand: Stand, requests: Sequence[JobRequest]) -> None:
    """In bulk."""
    services = stand.services
    intake = Intake(
        services, load_catalog(""), WakeUpSender(services.redis), Backpressure(services)
    )
    bulks = Bulks(intake)
    with services.database.transaction() as tx:
        who = Principal(frozenset({projects.ensure(tx, "bench").id}), "bench")
    for first in range(0, len(requests), BULK):
        lines = [Line(n, one) for n, one in enumerate(requests[first : first + BULK], 1)]
        bulks.submit(who, lines)
    intake.wake_up.stop()


@dataclass(frozen=True)
class Sample:
    """A look at a run."""

    at_s: float
    ended: int
    running: int
    cpu_s: float
    rss_mb: float


COUNTS = """
SELECT count(*) FILTER (WHERE finished_at IS NOT NULL) + (SELECT count(*) FROM jobs_archive) AS ended,
       count(*) FILTER (WHERE state = 'running') AS running FROM jobs
"""


def samples_until(stand: Stand, worker: psutil.Process, jobs: int) -> list[Sample]:
    """Samples twice a second until so many jobs have ended in all."""
    samples: list[Sample] = []
    deadline = time.monotonic() + DEADLINE_S
    while not samples or samples[-1].ended < jobs:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{samples[-1].ended} of {jobs} jobs ended in {DEADLINE_S:g} s")
        with stand.services.database.transaction() as tx:
            [found] = rows(tx, COUNTS)
        cpu = worker.cpu_times()
        samples.append(
            Sample(
                time.monotonic(),
                found.ended,
                found.running,
                cpu.user + cpu.system,
                worker.memory_info().rss / 1e6,
            )
        )
        time.sleep(0.5)  # the pace of the samples
    return samples


@dataclass(frozen=True)
class Middle:
    """The middle of a run, when everything is under way."""

    jobs_per_s: float
    cpu_ms_per_job: float


def middle_of(samples: list[Sample], warm: int, jobs: int) -> Middle:
    """From the first tenth of `jobs` to the ninth, after `warm` others."""
    first = next(s for s in samples if s.ended >= warm + 0.1 * jobs)
    last = next(s for s in samples if s.ended >= warm + 0.9 * jobs)
    ended = last.ended - first.ended
    return Middle(ended / (last.at_s - first.at_s), 1000 * (last.cpu_s - first.cpu_s) / ended)


def main() -> None:
    """Prints one run as a line of JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.worker", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=1000)
    parser.add_argument("--latency-ms", type=int, default=1000)
    parser.add_argument("--priority", choices=("high", "normal", "low", "bulk"), default="bulk")
    options = parser.parse_args()
    run = measure(options.jobs, options.slots, options.latency_ms, options.priority)
    print(json.dumps(asdict(run)))


if __name__ == "__main__":
    main()
