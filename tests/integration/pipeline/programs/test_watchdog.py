"""A worker that does not consume restarts itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.config import Settings
from factory.domain.job import new_id
from factory.llm.catalog import load_catalog
from factory.pipeline.run.worker import Worker
from factory.services import Services, connect
from workers.alive import AliveFile
from workers.watchdog import ConsumptionWatch

LANE = "openai.normal"


@pytest.fixture
def impatient(services: Services) -> Iterator[Services]:
    given = services.settings.model_dump(exclude={"libpq_url"})
    connected = connect(Settings(**{**given, "idle_restart_s": 0.1}), "test")
    connected.redis.delete(LANE)
    yield connected
    connected.redis.delete(LANE)
    connected.close()


def _gives_up(
    services: Services, *, draining: bool, within_s: float, alive: AliveFile | None = None
) -> bool:
    """Whether the watch of an idle worker gives up in the time."""
    gave_up = threading.Event()

    async def watch() -> bool:
        worker = Worker(services, load_catalog(""), new_id())
        worker.draining = draining
        watching = ConsumptionWatch(services, worker, [LANE], gave_up.set, alive)
        watching.start()
        try:
            return await asyncio.to_thread(gave_up.wait, within_s)
        finally:
            watching.stop()
            await worker.close()

    return asyncio.run(watch())


def test_a_worker_that_starves_beside_a_full_lane_gives_up(impatient: Services) -> None:
    impatient.redis.lpush(LANE, "a message")
    assert _gives_up(impatient, draining=False, within_s=60)


def test_an_idle_worker_with_empty_lanes_stays(impatient: Services) -> None:
    assert not _gives_up(impatient, draining=False, within_s=1)


def test_a_draining_worker_may_leave_messages(impatient: Services) -> None:
    impatient.redis.lpush(LANE, "a message")
    assert not _gives_up(impatient, draining=True, within_s=1)


def test_a_probe_sees_that_an_idle_worker_has_nothing_to_do(
    impatient: Services, tmp_path: Path
) -> None:
    file = tmp_path / "alive"
    before = time.time()
    assert not _gives_up(impatient, draining=False, within_s=1, alive=AliveFile(file))
    assert file.stat().st_mtime >= before - 1


def test_a_probe_sees_that_a_worker_starves(impatient: Services, tmp_path: Path) -> None:
    file = tmp_path / "alive"
    impatient.redis.lpush(LANE, "a message")
    assert _gives_up(impatient, draining=False, within_s=60, alive=AliveFile(file))
    assert not file.exists(), "it was touched beside a lane that holds a message"
