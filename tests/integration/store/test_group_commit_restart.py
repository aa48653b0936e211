"""Group commit while Postgres restarts, and without it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.config import Settings
from factory.embedded.postgres import EmbeddedPostgres
from factory.errors import Unavailable
from factory.services import Services, connect
from factory.store.group_commit import GroupCommitter
from factory.store.migrate import upgrade
from tests.integration.pipeline.bench import until
from tests.integration.store.samples import ask
from tests.integration.store.statements import insert_key, with_committer


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "postgres")
    yield server
    server.stop()


@pytest.fixture
def own_services(own_postgres: EmbeddedPostgres) -> Iterator[Services]:
    """Services over a Postgres that the test may stop."""
    url = own_postgres.start()
    upgrade(url)
    settings = Settings(database_url=url, redis_url="redis://nowhere", secret_key="x" * 32)
    connected = connect(settings, "test")
    yield connected
    connected.close()


def test_nothing_handed_over_is_lost_when_postgres_restarts(
    own_services: Services, own_postgres: EmbeddedPostgres
) -> None:
    keys = [f"{n:04}" for n in range(600)]

    async def work(committer: GroupCommitter) -> list[str]:
        writes = []
        for key in keys:
            writes.append(committer.write(insert_key, key))
            if key == "0200":
                await asyncio.to_thread(own_postgres.stop)
            if key == "0400":
                await until(lambda: not any(write.done() for write in writes[300:]))
                await asyncio.to_thread(own_postgres.start)
            await asyncio.sleep(0)
        return await asyncio.gather(*writes)

    assert with_committer(own_services, work) == keys
    names = ask(own_services, "SELECT name FROM projects ORDER BY name")
    assert [row.name for row in names] == keys


def test_a_committer_that_stops_without_postgres_says_so(
    own_services: Services, own_postgres: EmbeddedPostgres
) -> None:
    own_postgres.stop()

    async def work() -> None:
        committer = GroupCommitter(own_services.database, asyncio.get_running_loop())
        write = committer.write(insert_key, "lost")
        await asyncio.to_thread(committer.stop, 0.2)
        with pytest.raises(Unavailable):
            await write

    with asyncio.Runner() as runner:
        runner.run(asyncio.wait_for(work(), 60))
