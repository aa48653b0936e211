"""SAQ on Redis with a task that does nothing and keeps no result."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import uvloop
from redis.asyncio import Redis
from saq.queue.redis import RedisQueue

uvloop.install()
queue = RedisQueue(Redis.from_url(os.environ["PEER_REDIS"]), name="saq")


async def noop(_ctx: dict[str, Any], *, number: int) -> None:
    """Nothing."""


settings = {
    "queue": queue,
    "functions": [noop],
    "concurrency": 10,
}


async def queue_all(tasks: int) -> None:
    """Queues so many tasks. `ttl=-1` keeps no result."""
    for first in range(0, tasks, 20):
        await asyncio.gather(*(queue.enqueue("noop", number=first + n, ttl=-1) for n in range(20)))
    await queue.disconnect()


def enqueue(tasks: int) -> None:
    """Queues so many tasks, before there is a worker."""
    asyncio.run(queue_all(tasks))
