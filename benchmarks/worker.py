"""One worker on one core: jobs/s, CPU per job and memory, with everything committed in Postgres.

    python -m benchmarks.worker --jobs 10000 --slots 1000 --latency-ms 1000 --priority bulk

Starts its own Postgres, Valkey, simulator, dispatcher and one worker. The worker is pinned to one
core, the rest to the other. A job counts when its result, usage and ledger are committed. The rate is
taken over the middle of the run: from the first tenth of the jobs to the ninth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from factory.config import Settings
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey
from factory.limits.backlog import Gate
from factory.llm.catalog import load_catalog
from factory.pipeline.poke import Poker
from factory.pipeline.request import JobRequest
from factory.pipeline.submit import Intake, Line, submit_bulk
from factory.services import Services, connect
from factory.store import leases, projects
from factory.store.database import rows
from factory.store.migrate import upgrade

WORKER_CORE = 0
OTHER_CORES = sorted(set(range(os.cpu_count() or 1)) - {WORKER_CORE}) or [WORKER_CORE]
MODEL = "openai/gpt-4o-mini"
BULK = 5000
DEADLINE_S = 600.0
SECRET_KEY = "a-secret-key-for-the-benchmark-only"


@dataclass(frozen=True)
class Figures:
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


@contextmanager
def platform(directory: Path, slots: int) -> Iterator[tuple[Services, psutil.Process]]:
    """A platform with one pinned worker, ready; its services and the worker's process."""
    os.sched_setaffinity(0, OTHER_CORES)
    with ExitStack() as stack:
        postgres = EmbeddedPostgres(directory / "postgres")
        valkey = EmbeddedValkey(directory / "valkey")
        stack.callback(postgres.stop)
        stack.callback(valkey.stop)
        variables = _variables(postgres.start(), valkey.start(), _simulator(directory, stack))
        upgrade(variables["DATABASE_URL"])
        services = connect(Settings(**{k.lower(): v for k, v in variables.items()}), "bench")
        stack.callback(services.close)
        _start(stack, directory, variables, OTHER_CORES, "workers.dispatcher")
        worker = _start(
            stack, directory, variables, [WORKER_CORE], "workers.worker", "--slots", str(slots)
        )
        _until(lambda: _live_workers(services) == 1)
        yield services, psutil.Process(worker.pid)


def _variables(database_url: str, redis_url: str, simulator_url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": SECRET_KEY,
        "OPENAI_API_KEY": "simulated",
        "OPENAI_BASE_URL": f"{simulator_url}/openai/v1",
        "LOG_LEVEL": "WARNING",
    }


def _simulator(directory: Path, stack: ExitStack) -> str:
    command = [sys.executable, "-m", "factory.simulator", "--log", str(directory / "calls.jsonl")]
    process = subprocess.Popen([*command, "--latency-ms", "0"], stdout=subprocess.PIPE, text=True)
    stack.callback(_end, process)
    assert process.stdout is not None
    url: str = json.loads(process.stdout.readline())["url"]
    return url


def _start(
    stack: ExitStack, directory: Path, variables: dict[str, str], cores: list[int], *module: str
) -> subprocess.Popen[bytes]:
    log = stack.enter_context((directory / f"{module[0]}.log").open("wb"))
    process = subprocess.Popen(
        [sys.executable, "-m", *module], env={**os.environ, **variables}, stdout=log, stderr=log
    )
    os.sched_setaffinity(process.pid, cores)
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


def _live_workers(services: Services) -> int:
    with services.database.transaction() as tx:
        return sum(worker.live for worker in leases.workers(tx, services.settings.lease_s))


def _until(holds: object, within_s: float = 60.0) -> None:
    assert callable(holds)
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("not ready in time")
        time.sleep(0.05)


def measure(jobs: int, slots: int, latency_ms: int, priority: str) -> Figures:
    """One run on a fresh platform."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        platform(Path(directory), slots) as (services, worker),
    ):
        _submit(services, slots, latency_ms, priority)  # warms caches and connections
        _progress(services, worker, slots)
        rest_mb = worker.memory_info().rss / 1e6
        _submit(services, jobs, latency_ms, priority)
        return _figures(services, worker, jobs, slots, latency_ms, priority, rest_mb)


def _submit(services: Services, jobs: int, latency_ms: int, priority: str) -> None:
    intake = Intake(services, load_catalog(""), Poker(services.redis), Gate(services))
    with services.database.transaction() as tx:
        project_id = projects.ensure(tx, "bench").id
    prompt = f"{{{{simulate latency_ms={latency_ms}}}}} "
    requests = [
        JobRequest.model_validate({"model": MODEL, "input": prompt + str(n), "priority": priority})
        for n in range(jobs)
    ]
    for first in range(0, jobs, BULK):
        lines = [Line(n, one) for n, one in enumerate(requests[first : first + BULK], 1)]
        submit_bulk(intake, project_id, lines)
    intake.poker.stop()


@dataclass(frozen=True)
class _Sample:
    at_s: float
    ended: int
    running: int
    cpu_s: float
    rss_mb: float


COUNTS = """
SELECT count(*) FILTER (WHERE finished_at IS NOT NULL) AS ended,
       count(*) FILTER (WHERE state = 'running') AS running FROM jobs
"""


def _progress(services: Services, worker: psutil.Process, jobs: int) -> list[_Sample]:
    """Samples twice a second until so many jobs have ended in all."""
    samples: list[_Sample] = []
    deadline = time.monotonic() + DEADLINE_S
    while not samples or samples[-1].ended < jobs:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{samples[-1].ended} of {jobs} jobs ended in {DEADLINE_S:g} s")
        with services.database.transaction() as tx:
            [found] = rows(tx, COUNTS)
        cpu = worker.cpu_times()
        samples.append(
            _Sample(
                time.monotonic(),
                found.ended,
                found.running,
                cpu.user + cpu.system,
                worker.memory_info().rss / 1e6,
            )
        )
        time.sleep(0.5)
    return samples


def _figures(
    services: Services,
    worker: psutil.Process,
    jobs: int,
    slots: int,
    latency_ms: int,
    priority: str,
    rest_mb: float,
) -> Figures:
    warm = slots
    samples = _progress(services, worker, warm + jobs)
    first = next(s for s in samples if s.ended >= warm + 0.1 * jobs)
    last = next(s for s in samples if s.ended >= warm + 0.9 * jobs)
    ended = last.ended - first.ended
    peak = max(samples, key=lambda sample: sample.rss_mb)
    in_flight = max(sample.running for sample in samples)
    return Figures(
        jobs,
        slots,
        latency_ms,
        priority,
        jobs_per_s=round(ended / (last.at_s - first.at_s), 1),
        cpu_ms_per_job=round(1000 * (last.cpu_s - first.cpu_s) / ended, 3),
        rest_mb=round(rest_mb, 1),
        peak_mb=round(peak.rss_mb, 1),
        peak_in_flight=in_flight,
        kb_per_call=round(1000 * (peak.rss_mb - rest_mb) / max(1, in_flight), 1),
    )


def main() -> None:
    """Prints the figures as one line of JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.worker", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=1000)
    parser.add_argument("--latency-ms", type=int, default=1000)
    parser.add_argument("--priority", choices=("high", "normal", "low", "bulk"), default="bulk")
    options = parser.parse_args()
    figures = measure(options.jobs, options.slots, options.latency_ms, options.priority)
    print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    main()
