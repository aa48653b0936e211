"""The gateway on one core: jobs accepted, read and waited for, beside what a team writes first.

Ours is one process as production starts it. A POST counts once its job is committed; the peers run under
the same gunicorn with the number of threads that did best for them. The client and the servers of
data share the other core.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import psutil

from benchmarks.figures import Figure, at_least_times, at_most, at_most_times
from benchmarks.load import Load, load, request_bytes
from benchmarks.peers.race import cpu_s, pss_mb, started, tree
from benchmarks.stand import MEASURED_CORE, SECRET_KEY, Scale, Stand, running_stand, until
from benchmarks.start import free_port
from factory.domain.job import public_id
from factory.embedded.valkey import celery_url
from factory.store import keys, projects
from factory.store.database import rows

CONNECTIONS = 64
PACE = 0.7
"""The share of the best rate at which latency is measured. If each connection always has a request under way, the time
of an answer is just the number of connections divided by the rate.
"""
USUAL_PER_S = 1200
"""The rate of the usual view on the machine on which the goals were set. A goal is a multiple of this rate, so it
holds on each machine.
"""
READS_PER_S, BULK_PER_S, POST_P99_MS = 2500, 30_000, 30
LINES = 10_000
WAITING = 1000
PEERS = "benchmarks.peers.programs.flask_views"
# The best of 4, 8, 16, 32 and 64 threads for the usual view, and of 1 to 16 for the bare one.
THREADS = {"usual": 16, "bare": 4}
JOB = {"model": "openai/gpt-4o-mini", "input": "Name three primes."}
BODY = json.dumps(JOB).encode()
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Run:
    """A stretch of requests, and what each cost the server."""

    load: Load
    cpu_ms: float


def figures(scale: Scale) -> Iterator[Figure]:
    """Goal 4."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
    ):
        total = 1000 if scale.quick else 12_000
        with gateway(stand) as (port, process):
            post = _post(stand, "/api/jobs")
            ours = _runs(scale, lambda: _measure(process, port, [post], total))
            paced = PACE * ours.load.per_s
            calm = _runs(scale, lambda: _measure(process, port, [post], total // 2, per_s=paced))
            read = _of_reads(stand, scale, port, process)
            bulk = _of_bulk(stand, scale, port, process)
        usual = _peer(stand, scale, "usual", total)
        bare = _peer(stand, scale, "bare", total)
        yield from _of_posts(ours, calm, usual, bare)
        for figure, per_s in ((read, READS_PER_S), (bulk, BULK_PER_S)):
            yield beside_usual(figure, per_s, usual.load.per_s)
        with gateway(stand) as (port, process):
            yield from _of_waiting(stand, port, process)


def _of_posts(ours: Run, calm: Run, usual: Run, bare: Run) -> Iterator[Figure]:
    note = f"{CONNECTIONS} connections, each accepted job committed"
    rate, cost = ours.load.per_s, ours.cpu_ms
    title, other = "usual Flask view", "Flask view with apply_async alone"
    yield Figure("gateway_post", rate, "req/s", at_least_times(2.4), usual.load.per_s, title, note)
    yield Figure(
        "gateway_post_vs_bare", rate, "req/s", at_least_times(1.3), bare.load.per_s, other, note
    )
    calmly = f"{CONNECTIONS} connections, {PACE:.0%} of what it can, p50 {calm.load.p50_ms:.1f} ms"
    yield Figure(
        "gateway_post_p99",
        calm.load.p99_ms,
        "ms",
        at_most_times(POST_P99_MS * USUAL_PER_S / 1000),
        1000 / usual.load.per_s,
        f"{title}, a request",
        calmly,
    )
    busy = f"as fast as it can: p50 {ours.load.p50_ms:.1f} ms is {CONNECTIONS} by the rate"
    p99 = ours.load.p99_ms
    yield Figure("gateway_post_p99_full", p99, "ms", None, usual.load.p99_ms, title, busy)
    yield Figure("gateway_post_cpu", cost, "ms", None, usual.cpu_ms, title, "CPU a request")


def beside_usual(figure: Figure, goal_per_s: float, usual_per_s: float) -> Figure:
    """The same with its goal: as many times the usual view's POSTs as on the goals' machine."""
    goal = at_least_times(round(goal_per_s / USUAL_PER_S, 2))
    return replace(figure, goal=goal, peer=usual_per_s, peer_name="POST to the usual Flask view")


def _of_reads(stand: Stand, scale: Scale, port: int, process: psutil.Process) -> Figure:
    with stand.services.database.transaction() as tx:
        found = rows(tx, "SELECT id FROM jobs LIMIT 1000")
    headers = authorization(stand)
    reads = [request_bytes("GET", f"/api/jobs/{public_id(row.id)}", headers) for row in found]
    total = 1500 if scale.quick else 15_000
    run = _runs(scale, lambda: _measure(process, port, reads, total, expected=200))
    note = f"by id, {CONNECTIONS} connections, p99 {run.load.p99_ms:.1f} ms, {run.cpu_ms:.2f} ms of CPU"
    return Figure("gateway_get", run.load.per_s, "req/s", note=note)


def _of_bulk(stand: Stand, scale: Scale, port: int, process: psutil.Process) -> Figure:
    body = b"\n".join([BODY] * LINES)
    headers = {**authorization(stand), "Content-Type": "application/x-ndjson"}
    request = request_bytes("POST", "/api/jobs/bulk", headers, body)
    requests = 4 if scale.quick else 10
    run = _runs(scale, lambda: _measure(process, port, [request], requests, connections=2))
    note = f"{LINES} lines a request, 2 at a time, committed; {run.cpu_ms / LINES * 1000:.0f} us of CPU a job"
    return Figure("gateway_bulk", run.load.per_s * LINES, "jobs/s", note=note)


def _of_waiting(stand: Stand, port: int, process: psutil.Process) -> Iterator[Figure]:
    """A thousand clients wait for jobs that nobody runs."""
    wait = request_bytes(
        "POST", "/api/jobs", {**authorization(stand), **JSON, "Prefer": "wait=8"}, BODY
    )
    warm = request_bytes("POST", "/api/jobs", {**authorization(stand), **JSON}, BODY)
    load(port, [warm], CONNECTIONS, 500, 202)  # all threads are there, and the connections
    before_mb, before = pss_mb(tree(process)), _threads(process)
    command = [sys.executable, "-m", "benchmarks.waiters", str(port), str(WAITING)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as clients:
        assert clients.stdin is not None
        assert clients.stdout is not None
        clients.stdin.write(wait)
        clients.stdin.close()
        clients.stdout.readline()  # all have sent
        until(lambda: _connections(process, port) >= WAITING)
        time.sleep(2)  # they wait for eight seconds
        memory_mb, threads = pss_mb(tree(process)) - before_mb, _threads(process) - before
        answered = json.loads(clients.stdout.readline())
    if answered != WAITING:
        raise RuntimeError(f"{answered} of {WAITING} waiting clients were answered")
    note = f"{WAITING} clients in Prefer: wait, all answered"
    yield Figure("gateway_waiting_memory", memory_mb, "MB", at_most(25), note=note)
    yield Figure("gateway_waiting_threads", threads, "threads", at_most(2), note=note)


def _connections(process: psutil.Process, port: int) -> int:
    """Established ones to the gateway, whoever holds them."""
    return sum(
        connection.status == psutil.CONN_ESTABLISHED
        for one in tree(process)
        for connection in one.net_connections(kind="tcp")
        if connection.laddr and connection.laddr.port == port
    )


def _threads(process: psutil.Process) -> int:
    return sum(one.num_threads() for one in tree(process))


def _peer(stand: Stand, scale: Scale, view: str, total: int) -> Run:
    variables = {"PEER_BROKER": celery_url(stand.redis_url.replace("db=0", "db=2"))}
    environ = {**os.environ, **stand.variables, **variables}
    prepare = f"from {PEERS} import create_tables, token; create_tables(); print(token())"
    token = subprocess.run(
        [sys.executable, "-c", prepare], env=environ, capture_output=True, text=True, check=True
    ).stdout.strip()
    request = request_bytes("POST", f"/{view}", {"Authorization": f"Bearer {token}", **JSON}, BODY)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--workers", "1"]
    command += ["--threads", str(THREADS[view]), "--keep-alive", "65", f"{PEERS}:app"]
    with started(stand, command, variables, view) as process:
        until(lambda: _answers(port, request))
        return _runs(scale, lambda: _measure(process, port, [request], total))


@contextmanager
def gateway(
    stand: Stand, cores: Sequence[int] = (MEASURED_CORE,)
) -> Iterator[tuple[int, psutil.Process]]:
    """One process of ours on these cores: its port, and gunicorn's own process."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "python:api.gunicorn"]
    command += ["-b", f"127.0.0.1:{port}"]
    with started(stand, command, {"WEB_CONCURRENCY": "1"}, "gateway", cores) as process:
        until(lambda: _answers(port, request_bytes("GET", "/health", {}), 200))
        yield port, process


def _answers(port: int, request: bytes, expected: int = 202) -> bool:
    try:
        return load(port, [request], 1, 1, expected).failed == 0
    except OSError:
        return False


def _post(stand: Stand, path: str) -> bytes:
    return request_bytes("POST", path, {**authorization(stand), **JSON}, BODY)


def authorization(stand: Stand) -> Mapping[str, str]:
    """The header of a caller, with a new key."""
    with stand.services.database.transaction() as tx:
        project = projects.ensure(tx, "gateway")
        key = keys.create(tx, SECRET_KEY, project.id, "bench", ["jobs"])
    return {"Authorization": f"Bearer {key}"}


def _measure(
    process: psutil.Process,
    port: int,
    requests: Sequence[bytes],
    total: int,
    *,
    expected: int = 202,
    connections: int = CONNECTIONS,
    per_s: float = math.inf,
) -> Run:
    before_s = cpu_s(tree(process))
    found = load(port, requests, connections, total, expected, per_s)
    if found.failed:
        raise RuntimeError(f"{found.failed} of {total} requests had another status than {expected}")
    return Run(found, 1000 * (cpu_s(tree(process)) - before_s) / total)


def _runs(scale: Scale, measure: Callable[[], Run]) -> Run:
    """The medians, once the server is warm."""
    measure()
    found = [measure() for _ in range(scale.runs)]
    loads = [run.load for run in found]
    return Run(
        Load(
            median(one.per_s for one in loads),
            median(one.p50_ms for one in loads),
            median(one.p99_ms for one in loads),
            0,
        ),
        median(run.cpu_ms for run in found),
    )
