"""A job that blocks its worker's loop is named, and what it cost the others is counted."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import replace

import pytest

from factory import metrics
from factory.config import Settings
from factory.domain.job import new_id, public_id
from factory.domain.quarantine import group_size
from factory.llm.catalog import Catalog
from factory.pipeline.run.worker import Worker
from factory.pipeline.upkeep.reaper import Reaper, mark_dead
from factory.services import Services
from factory.store import counters, leases, moves
from tests.integration.pipeline.bench import until
from tests.integration.store.samples import ask, given_job, given_worker
from workers import blockage
from workers.blockage import LoopWatch, watch_loop

LONG_S = 60.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer to record a block than a restart waits for it."""
    monkeypatch.setattr(blockage, "TELL_S", LONG_S)


def test_the_job_that_blocks_the_loop_is_named_and_its_time_counted(
    services: Services, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    blocking = new_id()

    async def scenario() -> None:
        worker = Worker(services, catalog, new_id())
        watch = watch_loop(worker)
        with worker.holding(blocking) as held:
            assert held
            time.sleep(4.0)  # noqa: ASYNC251 - this is what it is about
        await until(lambda: _blocked_s(services))
        watch.stop()
        await worker.close()

    with caplog.at_level(logging.WARNING, logger=blockage.__name__):
        asyncio.run(scenario())
    # A machine under load may block the loop once more, at the end.
    told = [record for record in caplog.records if "blocked" in record.getMessage()][:2]
    assert [record.job_id for record in told] == [public_id(blocking)] * 2  # type: ignore[attr-defined]
    assert "time.sleep" in told[0].getMessage()
    assert 1.0 < _blocked_s(services) < LONG_S


def _blocked_s(services: Services) -> float:
    with services.database.transaction() as tx:
        totals = counters.totals(tx)
    return sum(one.amount for one in totals if one.metric == metrics.LOOP_BLOCKED_S)


def test_a_loop_that_goes_on_standing_still_is_given_up_and_told(
    services: Services, catalog: Catalog
) -> None:
    gave_up = threading.Event()
    told: list[metrics.Delta] = []

    async def scenario() -> None:
        watch = LoopWatch(1.0, give_up=gave_up.set, tell=lambda deltas, _: told.extend(deltas))
        watch.start()
        assert gave_up.wait(LONG_S)
        watch.stop()

    asyncio.run(scenario())
    # The stop of a watch that probes at that moment is one more block.
    assert [one.metric for one in told[:2]] == [metrics.LOOP_BLOCKED_S, metrics.LOOP_RESTARTS]


def test_the_job_that_ended_a_worker_runs_alone_and_the_others_do_not(
    services: Services, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    gave_up = threading.Event()
    monkeypatch.setattr(blockage, "exit_process", gave_up.set)
    impatient = replace(
        services, settings=services.settings.model_copy(update={"loop_restart_s": 1.0})
    )
    given_worker(services)

    async def scenario() -> None:
        worker = Worker(impatient, catalog, given_worker(services))
        blocking, innocent = given_job(services), given_job(services)
        with services.database.transaction() as tx:
            moves.claim(tx, worker.id, [blocking, innocent])
        watch = watch_loop(worker)
        with worker.holding(blocking):
            assert gave_up.wait(LONG_S)
        watch.stop()
        with services.database.transaction() as tx:
            leases.stop(tx, worker.id)
            mark_dead(tx, [worker.id])
        await worker.close()
        Reaper(services).tick()
        deaths = {row.id: row.deaths for row in ask(services, "SELECT id, deaths FROM jobs")}
        assert group_size(deaths[blocking]) == 1
        assert deaths[innocent] == 1

    asyncio.run(scenario())


def test_a_busy_loop_that_answers_is_left_alone() -> None:
    gave_up = threading.Event()

    async def scenario() -> None:
        watch = LoopWatch(2.0, give_up=gave_up.set)
        watch.start()
        for _ in range(100):
            time.sleep(0.03)  # noqa: ASYNC251 - busy, and never for long
            await asyncio.sleep(0)
        watch.stop()

    asyncio.run(scenario())
    assert not gave_up.is_set()


def test_the_limit_is_a_setting() -> None:
    given = {"database_url": "postgresql://x", "redis_url": "redis://x", "secret_key": "Ab3" * 12}
    assert Settings(**given).loop_restart_s == 10.0
    assert Settings(**given, loop_restart_s=3).loop_restart_s == 3.0
