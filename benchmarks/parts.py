"""What a job costs each part of the platform, for the arithmetic of docs/performance.md.

A part's cost is the CPU time of its processes over a stretch of work, divided by the jobs of the stretch;
Postgres' comes with the bytes of its write-ahead log, which a disk or a replica has to take as well.
`run` has 32 jobs a message; `run_single` has one, and the jobs' submission in bulk is in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.figures import Figure
from benchmarks.scale import drained
from benchmarks.stand import Scale, Stand, running_stand, until
from benchmarks.worker import submit as submit_bulk
from factory.domain.job import new_id
from factory.domain.principal import Principal
from factory.kinds.request import JobRequest
from factory.limits.backlog import Gate
from factory.llm.catalog import load_catalog
from factory.pipeline.accept.submit import Intake, submit
from factory.pipeline.wakeup import WakeUpSender
from factory.store import archive
from factory.store.database import rows

SLOTS, LATENCY_MS = 1000, 1000
BATCH = 1000
LEAST_MS = 0.002
"""A smaller value is below the resolution of the clock."""
REQUEST = {"model": "openai/gpt-4o-mini", "input": "What is a queue?", "priority": "bulk"}
WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS bytes"


@dataclass(frozen=True)
class Reading:
    """CPU seconds by part, and Postgres' log, since the parts started."""

    cpu_s: dict[str, float]
    wal_bytes: float


class Meter:
    """Reads what the parts have used; a program is added once it runs."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        pid_file = stand.directory / "postgres" / "data" / "postmaster.pid"
        redis_pid = int(stand.services.redis.info("server")["process_id"])
        self._parts = {
            "postgres": psutil.Process(int(pid_file.read_text().split()[0])),
            "redis": psutil.Process(redis_pid),
        }

    def add(self, part: str, pid: int) -> None:
        """Counts this process from now on."""
        self._parts[part] = psutil.Process(pid)

    def read(self) -> Reading:
        """Now."""
        with self._stand.services.database.transaction() as tx:
            wal_bytes = rows(tx, WAL)[0].bytes
        return Reading({part: _tree_s(root) for part, root in self._parts.items()}, wal_bytes)

    def figures(self, stretch: str, before: Reading, jobs: int) -> Iterator[Figure]:
        """What each part has used since `before`, a job."""
        after = self.read()
        for part, cpu_s in after.cpu_s.items():
            used_ms = 1000 * (cpu_s - before.cpu_s[part]) / jobs
            if used_ms < LEAST_MS:
                continue
            yield Figure(f"part_{stretch}_{part}", used_ms, "ms", note="CPU a job")
        wal_kb = (after.wal_bytes - before.wal_bytes) / 1000 / jobs
        yield Figure(f"part_{stretch}_wal", wal_kb, "KB", note="write-ahead log a job")


def figures(scale: Scale) -> Iterator[Figure]:
    """No goals: they are there to be known, and a quick run leaves them out."""
    if scale.quick:
        return
    jobs = 20 * SLOTS
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
    ):
        meter = Meter(stand)
        before = meter.read()
        singles = jobs // 4
        _submit_singly(stand, singles)
        yield from meter.figures("post", before, singles)
        before = meter.read()
        submit_bulk(stand, jobs, LATENCY_MS, "bulk")
        yield from meter.figures("bulk", before, jobs)
        # Without a worker a dispatcher publishes nothing.
        meter.add("dispatcher", stand.start("workers.dispatcher").pid)
        meter.add("worker", stand.start_worker(SLOTS).pid)
        before = meter.read()
        until(lambda: drained(stand), within_s=300)
        yield from meter.figures("run", before, jobs + singles)
        before = meter.read()
        submit_bulk(stand, jobs, LATENCY_MS, "normal")
        until(lambda: drained(stand), within_s=300)
        yield from meter.figures("run_single", before, jobs)
        before = meter.read()
        moved = _archive(stand)
        yield from meter.figures("archive", before, moved)


def _submit_singly(stand: Stand, jobs: int) -> None:
    services = stand.services
    intake = Intake(services, load_catalog(""), WakeUpSender(services.redis), Gate(services))
    who = Principal(frozenset({new_id()}), "bench")
    for _ in range(jobs):
        submit(intake, who, JobRequest.model_validate(REQUEST))
    intake.wake_up.stop()


def _archive(stand: Stand) -> int:
    """Moves all that has ended, as retention does an hour later; gives how many jobs."""
    total = 0
    while True:
        with stand.services.database.transaction() as tx:
            moved = archive.move(tx, 0, BATCH)
        total += moved
        if moved == 0:
            return total


def _tree_s(root: psutil.Process) -> float:
    """CPU seconds of a process, its children, and those of its children that have ended."""
    times = root.cpu_times()
    own = times.user + times.system + times.children_user + times.children_system
    return own + sum(sum(child.cpu_times()[:2]) for child in root.children(recursive=True))
