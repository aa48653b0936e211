"""Bulks leave connections, threads and the interpreter for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, overload
from uuid import UUID

import pytest

from factory.errors import Unavailable
from factory.kinds.request import JobRequest
from factory.limits.places import Places
from factory.pipeline.accept import bulk as bulk_module
from factory.pipeline.accept.bulk import MOST, Bulks, Line
from factory.services import Services
from tests.integration.pipeline.bench import Bench
from tests.integration.store.samples import (
    OTHER_OWNER,
    OTHER_PROJECT,
    OWNER,
    PROJECT,
    ask,
    waits_for_locks,
)

GOOD = JobRequest.model_validate({"model": "openai/gpt-4o-mini", "input": "Hi."})

PATIENCE_S = 60.0


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


class HeldLines(Sequence[Line]):
    """Lines that take as long to check as the test likes."""

    def __init__(self) -> None:
        self.asked, self.released = threading.Event(), threading.Event()

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, place: int) -> Line: ...
    @overload
    def __getitem__(self, place: slice) -> list[Line]: ...
    def __getitem__(self, place: int | slice) -> Any:
        self.asked.set()
        assert self.released.wait(PATIENCE_S)
        return [Line(1, GOOD)]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(MOST * 2) as pool:
        yield pool


def _checked_out(services: Services) -> int:
    pool: Any = services.database.engine.pool
    return int(pool.checkedout())


def test_a_bulk_that_is_checked_holds_no_connection(
    bench: Bench, threads: ThreadPoolExecutor
) -> None:
    bulks, lines = Bulks(bench.intake), HeldLines()
    answer = threads.submit(bulks.submit, OWNER, lines)
    assert lines.asked.wait(PATIENCE_S)

    assert _checked_out(bench.services) == 0
    lines.released.set()
    assert len(answer.result().ids) == 1


def test_bulks_together_leave_connections_for_single_jobs(
    bench: Bench, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "WAIT_S", PATIENCE_S)
    bulks = Bulks(bench.intake)
    with bench.services.database.transaction() as tx:
        tx.exec_driver_sql("LOCK TABLE job_requests IN SHARE MODE")  # nobody can write
        answers = [
            threads.submit(bulks.submit, owner, [Line(1, GOOD)])
            for owner in (OWNER, OTHER_OWNER) * (MOST // 2)
        ]
        _until(lambda: waits_for_locks(bench.services) == 2)
        # Of five connections one holds the lock and bulks hold two; more do not come.
        assert not any(answer.done() for answer in answers)
        assert waits_for_locks(bench.services) == 2
        assert _checked_out(bench.services) <= 4
    assert all(len(answer.result().ids) == 1 for answer in answers)
    assert bench.submit()
    assert len(ask(bench.services, "SELECT FROM jobs")) == MOST + 1


def test_who_waits_too_long_for_a_place_is_told_when_to_come_again(
    bench: Bench, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "WAIT_S", 0.1)
    bulks = Bulks(bench.intake)
    held = [HeldLines() for _ in range(2)]
    answers = [threads.submit(bulks.submit, OWNER, lines) for lines in held]
    _until(lambda: any(lines.asked.is_set() for lines in held))
    _until(lambda: bulks._places._free._value == 0)  # type: ignore[attr-defined]

    with pytest.raises(Unavailable, match="too many bulks") as refused:
        bulks.submit(OTHER_OWNER, [Line(1, GOOD)])
    assert refused.value.retry_after_s > 0
    for lines in held:
        lines.released.set()
    assert all(len(answer.result().ids) == 1 for answer in answers)


def test_one_project_cannot_take_all_places(threads: ThreadPoolExecutor) -> None:
    places, released = Places(1, most=4, wait_s=PATIENCE_S), threading.Event()
    held: list[UUID] = []

    def hold(project: UUID) -> None:
        with places.take(project, "bulks"):
            held.append(project)
            assert released.wait(PATIENCE_S)

    mine = [threads.submit(hold, PROJECT) for _ in range(2)]
    _until(lambda: places._here[PROJECT] == 2)
    with pytest.raises(Unavailable):
        hold(PROJECT)
    others = threads.submit(hold, OTHER_PROJECT)
    _until(lambda: places._here[OTHER_PROJECT] == 1)
    released.set()
    for one in (*mine, others):
        one.result()
    assert sorted(held) == sorted([PROJECT, PROJECT, OTHER_PROJECT])
    assert not places._here
