"""Celery and litellm.completion, as a service without this platform would have it.

Settings, from Celery's guide to optimizing (docs.celeryq.dev/en/stable/userguide/optimizing.html): a
prefetch multiplier of 1 for long tasks, the `fair` order (the default), early acks (the default), no
gossip, mingle or heartbeat. litellm is imported and frozen (Python's `gc.freeze`) before the
fork, so that children share its pages, and memory is the tree's PSS, which counts shared pages once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass

import psutil
import redis

from benchmarks.peers.environment import ROOT
from benchmarks.peers.race import Look, cpu_s, looks_until, middle_of, pss_mb, started, tree
from benchmarks.stand import Stand
from factory.embedded.valkey import celery_url

PROGRAM = "benchmarks.peers.programs.celery_litellm"
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
RESULTS_DB = 1
"""Of Redis, for the results alone: its size is the number of finished tasks."""


@dataclass(frozen=True)
class PeerFigures:
    """What one run showed; memory is that of the worker and its children, at its peak."""

    jobs_per_s: float
    memory_mb: float
    in_flight: int
    """Calls at a time: the pool's concurrency."""
    cpu_ms_per_job: float


def measure_celery_litellm(
    stand: Stand, pool: str, concurrency: int, jobs: int, latency_ms: int
) -> PeerFigures:
    """One run of a worker with this pool (`prefork` or `threads`) on the measured core."""
    results_url = stand.redis_url.replace("db=0", f"db={RESULTS_DB}")
    results = redis.Redis.from_url(results_url)
    results.flushdb()
    variables = {
        "PEER_BROKER": celery_url(stand.redis_url),
        "PEER_RESULTS": celery_url(results_url),
    }
    enqueue = [
        sys.executable,
        "-m",
        PROGRAM,
        str(jobs),
        f"{{{{simulate latency_ms={latency_ms}}}}}",
    ]
    subprocess.run(
        enqueue, env={**os.environ, **stand.variables, **variables}, cwd=ROOT, check=True
    )
    worker = [sys.executable, "-m", "celery", "-A", PROGRAM, "worker", *QUIET]
    worker += ["--pool", pool, "--concurrency", str(concurrency), "--loglevel", "WARNING"]
    with started(stand, worker, variables, f"celery-{pool}") as process:
        looks = looks_until(results.dbsize, jobs, lambda done: _look(process, done), pause_s=0.1)
    middle = middle_of(looks, jobs)
    return PeerFigures(
        middle.jobs_per_s,
        max(look.memory_mb for look in looks),
        concurrency,
        middle.cpu_ms_per_job,
    )


def _look(process: psutil.Process, done: int) -> Look:
    processes = tree(process)
    return Look(time.monotonic(), done, cpu_s(processes), pss_mb(processes))
