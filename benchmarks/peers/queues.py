"""The other queues, each with the settings that did best here among those that its documentation names."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis

from benchmarks.peers import environment
from benchmarks.peers.race import Look, looks_until, middle_of, started
from benchmarks.stand import Stand
from factory.embedded.valkey import celery_url
from factory.store.database import rows

PROGRAMS = "benchmarks.peers.programs"
PEER_DB = 2
"""Of Redis, for the peers alone."""

Left = Callable[[Stand, "redis.Redis[bytes]"], int]
"""How many tasks are still queued; one cheap look."""


@dataclass(frozen=True)
class Peer:
    """Another queue: how it is started, and how its progress is seen."""

    name: str
    title: str
    """With its settings, for people."""
    program: str
    """The module in `programs`; run by itself it queues tasks."""
    worker: Sequence[str]
    """What follows `python -m` to start its worker."""
    left: Left
    own_environment: bool = True


def measure(stand: Stand, peer: Peer, jobs: int) -> float:
    """Tasks/s over the middle of a run in which all tasks were queued before the worker started."""
    redis_url = stand.redis_url.replace("db=0", f"db={PEER_DB}")
    broker = redis.Redis.from_url(redis_url)
    broker.flushdb()
    variables = {"PEER_REDIS": redis_url, "PEER_BROKER": celery_url(redis_url)}
    python = str(environment.python()) if peer.own_environment else sys.executable
    subprocess.run(
        [python, "-c", f"from {PROGRAMS}.{peer.program} import enqueue; enqueue({jobs})"],
        env={**os.environ, **stand.variables, **variables},
        cwd=environment.ROOT,
        check=True,
    )
    with started(stand, [python, "-m", *peer.worker], variables, peer.name):
        looks = looks_until(
            lambda: jobs - peer.left(stand, broker),
            jobs,
            lambda done: Look(time.monotonic(), done, 0.0, 0.0),
            pause_s=0.05,
        )
    return middle_of(looks, jobs).jobs_per_s


def _row(stand: Stand, query: str) -> int:
    with stand.services.database.transaction() as tx:
        return int(rows(tx, query)[0].jobs)


def celery_noop(pool: str = "prefork", concurrency: int = 1, prefetch: int = 4, own: bool=False) -> Peer:
    """celery."""
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    app = ["celery", "-A", f"{PROGRAMS}.celery_noop", "worker", *quiet]
    return Peer(
        "celery_noop",
        f"Celery no-op, {pool} -c {concurrency}",
        "celery_noop",
        [*app, "--pool", pool, "--concurrency", str(concurrency), "--prefetch-multiplier", str(prefetch)],
        lambda _stand, broker: broker.llen("celery"),
        own_environment=own,
    )


def dramatiq(processes: int = 1, threads: int = 8) -> Peer:
    """dramatiq."""
    program = f"{PROGRAMS}.dramatiq_rows"
    return Peer(
        "dramatiq",
        f"Dramatiq + a row in Postgres, {processes} x {threads} threads",
        "dramatiq_rows",
        ["dramatiq", program, "--processes", str(processes), "--threads", str(threads)],
        lambda _stand, broker: broker.hlen("dramatiq:default.msgs"),
    )


def procrastinate(concurrency: int = 30, delete: str = "never") -> Peer:
    """procrastinate."""
    app = f"{PROGRAMS}.procrastinate_noop.app"
    worker = ["procrastinate", "--app", app, "worker", "--concurrency", str(concurrency)]
    return Peer(
        "procrastinate",
        f"procrastinate no-op, concurrency {concurrency}",
        "procrastinate_noop",
        [*worker, "--delete-jobs", delete],
        lambda stand, _broker: _row(
            stand,
            "SELECT count(*) AS jobs FROM procrastinate_jobs WHERE status IN ('todo', 'doing')",
        ),
    )


def arq() -> Peer:
    """arq."""
    return Peer(
        "arq",
        "arq no-op",
        "arq_noop",
        ["arq", f"{PROGRAMS}.arq_noop.WorkerSettings"],
        lambda _stand, broker: broker.zcard("arq:queue"),
    )


def saq() -> Peer:
    """saq."""
    return Peer(
        "saq",
        "SAQ no-op",
        "saq_noop",
        ["saq", f"{PROGRAMS}.saq_noop.settings"],
        lambda _stand, broker: broker.zcard("saq:saq:incomplete"),
    )


def taskiq() -> Peer:
    """taskiq."""
    return Peer(
        "taskiq",
        "taskiq no-op",
        "taskiq_noop",
        ["taskiq", "worker", "--workers", "1", f"{PROGRAMS}.taskiq_noop:broker"],
        _left_of_stream,
    )


def _left_of_stream(_stand: Stand, broker: redis.Redis) -> int:
    [group] = broker.xinfo_groups("taskiq")
    return int(group["lag"]) + int(group["pending"])
