"""arq with a task that does nothing and keeps no result."""

from __future__ import annotations

import asyncio
import os
from typing import Any, ClassVar

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from redis.connection import parse_url

uvloop.install()
LOGGING = {"version": 1, "disable_existing_loggers": False}
"""Warnings alone: a line for each start and end of a task would be half of its cost."""


def settings() -> RedisSettings:
    """For the unix socket, which arq's own reading of URLs leaves out."""
    parts = parse_url(os.environ["PEER_REDIS"])
    return RedisSettings(unix_socket_path=parts["path"], database=parts["db"])


async def noop(_ctx: dict[str, Any], _number: int) -> None:
    """Nothing."""


class WorkerSettings:
    """What `arq` reads."""

    functions: ClassVar = [noop]
    redis_settings = settings()
    max_jobs = 100
    keep_result = 0
    poll_delay = 0.05


async def queue_all(tasks: int) -> None:
    """Queues so many tasks."""
    redis = await create_pool(settings())
    for first in range(0, tasks, 100):
        await asyncio.gather(*(redis.enqueue_job("noop", first + n) for n in range(100)))


def enqueue(tasks: int) -> None:
    """Queues so many tasks, before there is a worker."""
    asyncio.run(queue_all(tasks))
