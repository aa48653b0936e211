"""What a job costs each program of the platform and Postgres' log, so that every later feature shows what it costs.

A program's cost is the CPU time of its processes over a stretch of work, divided by the jobs of the stretch: all that
happens to a job, from its POST until it has ended. `single` are jobs that come one by one; `bulk` came in one request
and run 32 a message. What the log holds is read from the log itself: its bytes, how many updates wrote no index (HOT),
and how often an index was written.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.figures import Figure
from benchmarks.gateway import CONNECTIONS, JSON, authorization, gateway
from benchmarks.load import load, request_bytes
from benchmarks.scale import drained
from benchmarks.stand import Scale, Stand, running_stand, until
from factory.store import archive
from factory.store.database import rows, run

SLOTS, LATENCY_MS = 1000, 1000
BATCH = 1000
WITHIN_S = 300.0
INPUT = f"{{{{simulate latency_ms={LATENCY_MS}}}}} What is a queue?"
NDJSON = {"Content-Type": "application/x-ndjson"}
NOW = """
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS bytes,
       pg_current_wal_insert_lsn()::text AS place
"""
LOGGED = """
SELECT coalesce(sum(count) FILTER (WHERE name ~ '^Heap/HOT_UPDATE'), 0)::float8 AS hot,
       coalesce(sum(count) FILTER (WHERE name ~ '^Heap/(HOT_)?UPDATE'), 0)::float8 AS updates,
       coalesce(sum(count) FILTER (
           WHERE name ~ '^(Btree/INSERT_(LEAF|POST)|Gin/INSERT)'), 0)::float8 AS index_writes
  FROM (SELECT "resource_manager/record_type" AS name, count
          FROM pg_get_wal_stats(CAST(%(begin)s AS pg_lsn), pg_current_wal_flush_lsn(), true)) logged
"""


@dataclass(frozen=True)
class Reading:
    """CPU seconds by program, and how far Postgres' log has come."""

    cpu_s: dict[str, float]
    wal_bytes: float
    place: str


class Meter:
    """Reads what the programs have used; one is added once it runs."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        with stand.services.database.transaction() as tx:
            run(tx, "CREATE EXTENSION pg_walinspect")
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
            [now] = rows(tx, NOW)
        used = {part: _tree_s(root) for part, root in self._parts.items()}
        return Reading(used, now.bytes, now.place)

    def figures(self, stretch: str, before: Reading, jobs: int) -> Iterator[Figure]:
        """What was used since `before`, a job."""
        after = self.read()
        used_ms = {
            part: 1000 * (cpu_s - before.cpu_s[part]) / jobs for part, cpu_s in after.cpu_s.items()
        }
        for part, part_ms in used_ms.items():
            yield Figure(f"part_{stretch}_{part}", part_ms, "ms", note="CPU a job")
        total = sum(used_ms.values())
        yield Figure(f"part_{stretch}_all", total, "ms", note="CPU a job, all programs")
        wal_kb = (after.wal_bytes - before.wal_bytes) / 1000 / jobs
        yield Figure(f"part_{stretch}_wal", wal_kb, "KB", note="write-ahead log a job")
        yield from self._of_log(stretch, before, jobs)

    def _of_log(self, stretch: str, before: Reading, jobs: int) -> Iterator[Figure]:
        with self._stand.services.database.transaction() as tx:
            [logged] = rows(tx, LOGGED, {"begin": before.place})
        hot = logged.hot / logged.updates if logged.updates else 0.0
        yield Figure(f"part_{stretch}_hot", 100 * hot, "%", note="updates that wrote no index")
        writes = logged.index_writes / jobs
        yield Figure(f"part_{stretch}_index", writes, "writes", note="index entries a job")


def figures(scale: Scale) -> Iterator[Figure]:
    """No goals: a figure of before is the goal of a change."""
    singles, bulk = (2000, 5000) if scale.quick else (10_000, 10_000)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
        gateway(stand) as (port, process),
    ):
        meter = Meter(stand)
        meter.add("gateway", process.pid)
        meter.add("dispatcher", stand.start("workers.dispatcher").pid)
        meter.add("worker", stand.start_worker(SLOTS).pid)
        for stretch, jobs, requests in (
            ("single", singles, [_single(stand)] * singles),
            ("bulk", bulk, [_bulk(stand, bulk)]),
        ):
            _run(stand, port, [requests[0]])
            before = meter.read()
            _run(stand, port, requests)
            yield from meter.figures(stretch, before, jobs)
        before = meter.read()
        moved = _archive(stand)
        if moved:
            yield from meter.figures("archive", before, moved)


def _run(stand: Stand, port: int, requests: list[bytes]) -> None:
    """Sends them and waits until all their jobs have ended. The first run opens connections and fills caches."""
    done = load(port, requests, min(CONNECTIONS, len(requests)), len(requests), 202)
    assert done.failed == 0
    until(lambda: drained(stand), within_s=WITHIN_S)


def _single(stand: Stand) -> bytes:
    return request_bytes("POST", "/api/jobs", {**authorization(stand), **JSON}, _body("normal"))


def _bulk(stand: Stand, jobs: int) -> bytes:
    body = b"\n".join([_body("bulk")] * jobs)
    return request_bytes("POST", "/api/jobs/bulk", {**authorization(stand), **NDJSON}, body)


def _body(priority: str) -> bytes:
    return json.dumps(
        {"model": "openai/gpt-4o-mini", "input": INPUT, "priority": priority}
    ).encode()


def _archive(stand: Stand) -> int:
    """Moves what has ended and was not archived by that, as retention does an hour later; gives how many jobs."""
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
