"""Procrastinate with a task that asks the provider and stores the answer, as our jobs do.

The call is as cheap as asyncio makes one: aiohttp on connections that stay. Rows go through a pool of the
task's own. `python -m benchmarks.peers.programs.procrastinate_calls CONCURRENCY` is a worker on uvloop, which
procrastinate's own command does not offer.
"""

from __future__ import annotations

import asyncio
import os
import sys

import uvloop
from aiohttp import ClientSession, TCPConnector
from procrastinate import App, PsycopgConnector
from psycopg_pool import AsyncConnectionPool

from benchmarks.peers.programs.procrastinate_noop import queue_all

URL = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
HEADERS = {"Authorization": "Bearer simulated"}
CONNECTIONS = 10
"""Of each pool, procrastinate's and the task's."""
TABLE = "CREATE TABLE IF NOT EXISTS procrastinate_results (id bigserial PRIMARY KEY, task int, answer text)"
INSERT = "INSERT INTO procrastinate_results (task, answer) VALUES (%s, %s)"

database_url = os.environ["DATABASE_URL"]
app = App(connector=PsycopgConnector(conninfo=database_url, max_size=CONNECTIONS))


class Outside:
    """What tasks use, while the worker runs."""

    provider: ClientSession
    rows: AsyncConnectionPool


async def ask(prompt: str) -> str:
    """The text of the model's answer."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}
    async with Outside.provider.post(URL, json=body, headers=HEADERS) as response:
        answer = await response.json()
    return str(answer["choices"][0]["message"]["content"])


@app.task(name="ask_and_store")
async def ask_and_store(number: int) -> None:
    """A row with an answer."""
    answer = await ask(f"{{{{simulate latency_ms=0}}}} {number}")
    async with Outside.rows.connection() as connection:
        await connection.execute(INSERT, (number, answer))


async def work(concurrency: int) -> None:
    """Runs tasks until it is told to end."""
    rows = AsyncConnectionPool(
        database_url, max_size=CONNECTIONS, open=False, kwargs={"autocommit": True}
    )
    async with rows, ClientSession(connector=TCPConnector(limit=0)) as provider, app.open_async():
        Outside.rows, Outside.provider = rows, provider
        await rows.open()
        async with rows.connection() as connection:
            await connection.execute(TABLE)
        await app.run_worker_async(concurrency=concurrency)


def enqueue(tasks: int) -> None:
    """Queues so many tasks, before there is a worker."""
    asyncio.run(queue_all(app, ask_and_store, tasks))


if __name__ == "__main__":
    # As a module with its own name: procrastinate warns of an app in `__main__`.
    from benchmarks.peers.programs import procrastinate_calls  # noqa: PLW0406

    uvloop.run(procrastinate_calls.work(int(sys.argv[1])))
