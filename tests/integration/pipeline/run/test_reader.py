"""Reads apart from commits: a slow one costs its own job, and nobody else a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from factory.domain.job import Kind, NewJob, new_id
from factory.domain.lanes import SEARCH, Priority
from factory.domain.state import State
from factory.embedded.postgres import EmbeddedPostgres
from factory.errors import ReadTooSlow
from factory.pipeline.run.execute import execute
from factory.services import Services
from factory.store import jobs
from factory.store.database import Tx, rows
from factory.store.reader import SHARE, THREADS, Reader
from tests.integration.pipeline.bench import Bench, until
from tests.integration.store.samples import OTHER_PROJECT, PROJECT, ask, tell, waits_for_locks

SMALL = "openai/text-embedding-3-small"
PATIENCE_S = 60.0
SOON_S = 30.0
"""Half of what a slow read may take."""


def sleep(seconds: float) -> Callable[[Tx], str]:
    """A read that takes this long in Postgres."""
    return lambda tx: str(rows(tx, f"SELECT pg_sleep({seconds})::text AS slept")[0].slept)


def one(tx: Tx) -> int:
    return int(rows(tx, "SELECT 1 AS number")[0].number)


def with_reader(
    url: str, work: Callable[[Reader], Awaitable[Any]], read_s: float = 2 * SOON_S
) -> Any:
    """What `work` gives, with a reader on a loop of its own."""

    async def run_it() -> Any:
        reader = Reader(url, read_s=read_s)
        try:
            return await work(reader)
        finally:
            reader.close()

    with asyncio.Runner() as runner:
        return runner.run(asyncio.wait_for(run_it(), 3 * PATIENCE_S))


def _sleeping(services: Services) -> int:
    query = "SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%%'"
    return len(ask(services, query + " AND datname = current_database()"))


@contextmanager
def locked(services: Services, table: str) -> Iterator[None]:
    """Nobody can read the table meanwhile."""
    connection = psycopg2.connect(services.settings.libpq_url)
    try:
        connection.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        connection.close()


def _searches(bench: Bench, number: int) -> list[UUID]:
    found = [
        NewJob(
            id=new_id(),
            project_id=PROJECT,
            kind=Kind.SEARCH,
            provider="openai",
            lane_group=SEARCH,
            priority=Priority.HIGH,
            input={"query": "a query", "limit": 2},
            model=SMALL,
            deadline_s=10 * PATIENCE_S,
        )
        for _ in range(number)
    ]
    with bench.services.database.transaction() as tx:
        jobs.insert(tx, found)
    return [job.id for job in found]


def test_searches_that_hang_stop_no_claim_and_no_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory.kinds.means.Reader", partial(Reader, read_s=10 * PATIENCE_S))
    worker, searches = bench.worker(), _searches(bench, 6)
    completion = bench.submit()

    async def work() -> None:
        searching = asyncio.ensure_future(execute(worker, searches))
        await until(lambda: waits_for_locks(bench.services))
        await asyncio.wait_for(execute(worker, [completion]), PATIENCE_S)
        searching.cancel()
        await asyncio.wait([searching])
        await until(lambda: not waits_for_locks(bench.services))

    with locked(bench.services, "embeddings"):
        bench.run(work())
        assert bench.view(completion).state is State.SUCCEEDED
        assert {bench.view(job).state for job in searches} == {State.CANCELLED}


def test_a_read_that_is_too_slow_is_ended_in_postgres_and_says_so(services: Services) -> None:
    async def work(reader: Reader) -> None:
        with pytest.raises(ReadTooSlow, match=r"longer than 0\.2 s"):
            await reader.read(PROJECT, sleep(300))
        await until(lambda: not _sleeping(services))
        assert await reader.read(PROJECT, one) == 1

    with_reader(services.settings.libpq_url, work, read_s=0.2)


def test_a_read_that_is_given_up_ends_in_postgres_too(services: Services) -> None:
    async def work(reader: Reader) -> None:
        reads = [asyncio.ensure_future(reader.read(PROJECT, sleep(300))) for _ in range(5)]
        await until(lambda: _sleeping(services) == SHARE)
        for read in reads:
            read.cancel()
        await until(lambda: all(read.done() for read in reads), SOON_S)
        await until(lambda: not _sleeping(services))
        assert await reader.read(PROJECT, one) == 1

    with_reader(services.settings.libpq_url, work)


def test_another_projects_reads_pass_those_of_one_that_has_many(services: Services) -> None:
    async def work(reader: Reader) -> int:
        slow = [asyncio.ensure_future(reader.read(PROJECT, sleep(300))) for _ in range(20)]
        await until(lambda: _sleeping(services) == SHARE)
        answer = await asyncio.wait_for(reader.read(OTHER_PROJECT, one), SOON_S)
        for read in slow:
            read.cancel()
        await asyncio.wait(slow)
        return answer

    assert with_reader(services.settings.libpq_url, work) == 1


def test_projects_take_turns(services: Services) -> None:
    order: list[int] = []

    async def read(reader: Reader, project: int) -> None:
        def noted(tx: Tx) -> str:
            order.append(project)
            return sleep(0.1)(tx)

        await reader.read(UUID(int=project), noted)

    async def work(reader: Reader) -> None:
        many = [read(reader, project) for project in (1, 2, 3) for _ in range(20)]
        await asyncio.gather(*many, read(reader, 4))

    with_reader(services.settings.libpq_url, work)
    # All of one project first would let it wait for 60, or 40.
    assert order.index(4) <= 4 * THREADS


def test_reads_wait_for_a_postgres_that_restarts(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres")
    url = server.start()

    async def work(reader: Reader) -> int:
        assert await reader.read(PROJECT, one) == 1
        await asyncio.to_thread(server.stop)
        reading = asyncio.ensure_future(reader.read(PROJECT, one))
        await asyncio.wait([reading], timeout=0.3)
        assert not reading.done()
        await asyncio.to_thread(server.start)
        return await reading

    try:
        assert with_reader(url, work) == 1
    finally:
        server.stop()


def test_a_deadline_ends_a_search_that_hangs(bench: Bench) -> None:
    worker, [search] = bench.worker(), _searches(bench, 1)
    tell(bench.services, "UPDATE jobs SET deadline_at = now() + interval '1 second'")

    with locked(bench.services, "embeddings"):
        bench.run(execute(worker, [search]))
        assert bench.view(search).error["type"] == "deadline_exceeded"
