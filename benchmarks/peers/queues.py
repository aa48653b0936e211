"""The other queues, each with the settings that did best here among those that its documentation names.

All log warnings alone, keep no results unless they are measured with them, and speak to the same servers
over the same unix sockets as we do. Those on asyncio run on uvloop, and redis-py parses with hiredis; plain
Celery runs in our own environment, where neither it nor we have them.
"""

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

Left = Callable[[Stand, redis.Redis], int]
"""How many tasks have not ended: one cheap look at the queue, in Redis or in Postgres."""


@dataclass(frozen=True)
class Peer:
    """Another queue: how it is started, and how its progress is seen."""

    name: str
    title: str
    """For people."""
    program: str
    """The module in `programs`, whose `enqueue(tasks)` queues them."""
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
    enqueue = f"from {PROGRAMS}.{peer.program} import enqueue; enqueue({jobs})"
    environ = {**os.environ, **stand.variables, **variables}
    subprocess.run([python, "-c", enqueue], env=environ, cwd=environment.ROOT, check=True)
    with started(stand, [python, "-m", *peer.worker], variables, peer.name):
        looks = looks_until(
            lambda: jobs - peer.left(stand, broker),
            jobs,
            lambda done: Look(time.monotonic(), done, 0.0, 0.0),
            pause_s=0.05,
        )
    return middle_of(looks, jobs).jobs_per_s


def _left_of_celery(_stand: Stand, broker: redis.Redis) -> int:
    return int(broker.llen("celery"))


def _left_of_dramatiq(_stand: Stand, broker: redis.Redis) -> int:
    """A message's body stays until the message is acknowledged."""
    return int(broker.hlen("dramatiq:default.msgs"))


PROCRASTINATE_LEFT = """
SELECT count(*) AS jobs FROM procrastinate_jobs WHERE status IN ('todo', 'doing')
"""


def _left_of_procrastinate(stand: Stand, _broker: redis.Redis) -> int:
    with stand.services.database.transaction() as tx:
        return int(rows(tx, PROCRASTINATE_LEFT)[0].jobs)


def _left_of_arq(_stand: Stand, broker: redis.Redis) -> int:
    return int(broker.zcard("arq:queue"))


def _left_of_saq(_stand: Stand, broker: redis.Redis) -> int:
    return int(broker.zcard("saq:saq:incomplete"))


def _left_of_taskiq(_stand: Stand, broker: redis.Redis) -> int:
    [group] = broker.xinfo_groups("taskiq")
    return int(group["lag"]) + int(group["pending"])


# https://docs.celeryq.dev/en/stable/userguide/optimizing.html: for short tasks a high prefetch multiplier,
# acknowledged early. https://docs.celeryq.dev/en/stable/userguide/workers.html: the worker without gossip,
# mingle and heartbeat. On one core, in tasks/s: prefork -c 1 910, -c 2 940, -c 4 830, -c 8 850, with a
# prefetch multiplier of 4, 64 or without limit; threads -c 8 1,150, -c 1 1,130; solo, which no service
# would run, 1,170.
CELERY_NOOP = Peer(
    "celery_noop",
    "Celery no-op, threads -c 8",
    "celery_noop",
    (
        *("celery", "-A", f"{PROGRAMS}.celery_noop", "worker", "--pool", "threads"),
        *("--concurrency", "8", "--prefetch-multiplier", "64", "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ),
    _left_of_celery,
    own_environment=False,
)

# https://dramatiq.io/guide.html#workers: --processes and --threads. It fetches two messages a thread at a
# time (dramatiq_queue_prefetch), so that threads help for long: 8, its default, make 2,100 tasks/s, 16 3,500,
# 32 5,600, 64 6,800. With 512 fetched ahead 8 make 6,200 and 64 7,300; with a call in each task 1,600 and
# 2,300. A second process on the one core adds nothing, and Postgres allows 100 connections by default.
_DRAMATIQ = ("--processes", "1", "--threads", "64")
DRAMATIQ = Peer(
    "dramatiq",
    "Dramatiq no-op + a row in Postgres, 64 threads",
    "dramatiq_rows",
    ("dramatiq", f"{PROGRAMS}.dramatiq_rows", *_DRAMATIQ),
    _left_of_dramatiq,
)
DRAMATIQ_CALLS = Peer(
    "dramatiq_calls",
    "Dramatiq + a call + a row in Postgres, 64 threads",
    "dramatiq_calls",
    ("dramatiq", f"{PROGRAMS}.dramatiq_calls", *_DRAMATIQ),
    _left_of_dramatiq,
)
# litellm alone takes 6 to 8 ms of CPU a task on a machine that others use too, and the interpreter's lock
# lets one thread run: 8 threads made 113 to 125 tasks/s there, 16 89, and 64 124 to 157.
DRAMATIQ_LITELLM = Peer(
    "dramatiq_litellm",
    "Dramatiq + litellm.completion + a row in Postgres, 64 threads",
    "dramatiq_litellm",
    ("dramatiq", f"{PROGRAMS}.dramatiq_litellm", *_DRAMATIQ),
    _left_of_dramatiq,
)

# https://procrastinate.readthedocs.io/en/stable/howto/advanced/concurrency.html: coroutines side by side.
# From 5 to 100 at a time it makes 500–680 tasks/s; deleting what has ended (--delete-jobs) made 360–570.
PROCRASTINATE = Peer(
    "procrastinate",
    "procrastinate no-op, concurrency 30",
    "procrastinate_noop",
    (
        *("procrastinate", "--app", f"{PROGRAMS}.procrastinate_noop.app", "--log-level", "warning"),
        *("worker", "--concurrency", "30"),
    ),
    _left_of_procrastinate,
)
# Not tuned yet. Two sweeps beside other work disagree: 10, 30 and 100 at a time made 25, 26 and 48 tasks/s in
# one, 50, 51 and 20 in the other (2.8, 2.5 and 3.1 ms of CPU a task). 30 is what the no-op runs with.
PROCRASTINATE_CALLS = Peer(
    "procrastinate_calls",
    "procrastinate + a call + a row in Postgres, concurrency 30",
    "procrastinate_calls",
    (f"{PROGRAMS}.procrastinate_calls", "30"),
    _left_of_procrastinate,
)

# https://arq-docs.helpmanual.io: max_jobs and poll_delay are in the program; 50, 100 and 200 at a time are alike.
ARQ = Peer(
    "arq",
    "arq no-op, 100 at a time",
    "arq_noop",
    (
        *("arq", f"{PROGRAMS}.arq_noop.WorkerSettings"),
        *("--custom-log-dict", f"{PROGRAMS}.arq_noop.LOGGING"),
    ),
    _left_of_arq,
)

# https://saq-py.readthedocs.io: concurrency 10, its default, does a little better than 50 or 100.
SAQ = Peer(
    "saq",
    "SAQ no-op, 10 at a time",
    "saq_noop",
    ("saq", f"{PROGRAMS}.saq_noop.settings"),
    _left_of_saq,
)

# https://taskiq-python.github.io/guide/cli.html: one process for the one core, and its default of 100 tasks.
TASKIQ = Peer(
    "taskiq",
    "taskiq no-op on streams",
    "taskiq_noop",
    (
        *("taskiq", "worker", "--workers", "1", "--log-level", "WARNING"),
        f"{PROGRAMS}.taskiq_noop:broker",
    ),
    _left_of_taskiq,
)
