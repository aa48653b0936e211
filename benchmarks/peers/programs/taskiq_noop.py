"""taskiq on Redis streams, the broker that its documentation recommends, with a task that does nothing."""

from __future__ import annotations

import asyncio
import os

from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(url=os.environ["PEER_REDIS"])


@broker.task(task_name="noop")
async def noop(number: int) -> None:
    """Nothing."""


async def queue_all(tasks: int) -> None:
    """Queues so many tasks."""
    await broker.startup()
    for first in range(0, tasks, 20):
        await asyncio.gather(*(noop.kiq(first + n) for n in range(20)))
    await broker.shutdown()


def enqueue(tasks: int) -> None:
    """Queues so many tasks, before there is a worker."""
    asyncio.run(queue_all(tasks))
