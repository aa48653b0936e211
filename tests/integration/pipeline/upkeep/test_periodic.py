"""What is done again and again outlives whatever goes wrong: here a table is gone for a moment."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from factory.domain.lanes import all_lanes
from factory.domain.state import State
from factory.pipeline.upkeep.rescue import Rescue
from factory.services import Services
from tests.integration.pipeline.bench import Bench, until
from tests.integration.pipeline.clock import Clock
from tests.integration.retention.past import given_ended, places
from tests.integration.store.samples import ask, given_job, given_worker, silence, state_of, tell
from workers.dispatcher import Dispatcher

PATIENCE_S = 60.0


@contextmanager
def _without(services: Services, table: str) -> Iterator[None]:
    tell(services, f"ALTER TABLE {table} RENAME TO mislaid")
    try:
        yield
    finally:
        tell(services, f"ALTER TABLE mislaid RENAME TO {table}")


@pytest.fixture
def dispatcher(services: Services) -> Iterator[Dispatcher]:
    """Running on threads, as in production."""
    dispatcher = Dispatcher(services)
    loop = threading.Thread(target=dispatcher.run)
    loop.start()
    yield dispatcher
    dispatcher.stop()
    loop.join(timeout=PATIENCE_S)


def _eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def _published(services: Services) -> int:
    return len(ask(services, "SELECT FROM hints"))


def test_a_dispatcher_whose_every_statement_failed_goes_on_with_all_of_its_work(
    services: Services, dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    silence(services, given_worker(services, lanes=all_lanes()), -3600)  # it outlives this test
    with _without(services, "jobs"):
        for name in ("dispatch", "the reaper", "the end of overdue jobs", "retention"):
            _eventually(lambda name=name: f"{name} goes on in" in caplog.text)
    old, late = given_ended(services), given_job(services, deadline_s=0.001)
    given_job(services)
    _eventually(lambda: _published(services))
    _eventually(lambda: state_of(services, late) is State.FAILED)
    _eventually(lambda: places(services, old) == ["jobs_archive"])


def _goes_on(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if "goes on in" in record.getMessage()]


def test_what_goes_wrong_is_one_line(
    services: Services, dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    with _without(services, "jobs"):
        _eventually(lambda: _goes_on(caplog))
    [first, *_] = _goes_on(caplog)
    assert "\n" not in caplog.handler.format(first)
    assert "UndefinedTable" in first.getMessage()


def test_a_part_of_rescue_that_fails_stops_no_other(services: Services) -> None:
    late = given_job(services, deadline_s=0.001)
    with _without(services, "backlog"):
        Rescue(services, Clock()).tick()
    assert state_of(services, late) is State.FAILED


def test_a_heartbeat_that_failed_goes_on(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    worker = bench.worker()
    with _without(bench.services, "workers"):
        bench.run(until(lambda: "the heartbeat goes on in" in caplog.text))
    silence(bench.services, worker.id, 60)
    fresh = "SELECT FROM workers WHERE heartbeat_at > now() - interval '5 seconds'"
    bench.run(until(lambda: ask(bench.services, fresh)))
