"""Procrastinate, a queue in Postgres like ours, with a task that does nothing."""

from __future__ import annotations

import asyncio
import os

from procrastinate import App, PsycopgConnector
from procrastinate.tasks import Task

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))
BATCH = 1000
"""Tasks queued by one statement."""


@app.task(name="noop")
async def noop(number: int) -> None:
    """Nothing."""


async def queue_all(app: App, task: Task, tasks: int) -> None:
    """Queues so many of this task."""
    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        # Every run is a first one: what earlier runs left would slow this one down.
        await app.connector.execute_query_async("TRUNCATE procrastinate_jobs CASCADE")
        for first in range(0, tasks, BATCH):
            numbers = range(first, min(first + BATCH, tasks))
            await task.batch_defer_async(*({"number": number} for number in numbers))


def enqueue(tasks: int) -> None:
    """Queues so many tasks, before there is a worker."""
    asyncio.run(queue_all(app, noop, tasks))
