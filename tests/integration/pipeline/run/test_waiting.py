"""A job whose kind waits: for its children, then for a time, and then it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest

from factory.domain.job import ClaimedJob, Kind, NewJob
from factory.domain.state import State
from factory.domain.waiting import WaitFor
from factory.kinds import runners
from factory.kinds.means import Means
from factory.kinds.runners import Runner
from factory.pipeline.accept.control import cancel
from factory.pipeline.run.execute import execute
from factory.pipeline.run.worker import Worker
from factory.pipeline.upkeep.waits import wake_due
from factory.store import jobs
from factory.store.archive import EVERY_CALL
from tests import family
from tests.integration.pipeline.bench import Bench, until
from tests.integration.store.samples import OWNER, PROJECT, ask, tell


@pytest.fixture(autouse=True)
def _family(bench: Bench) -> Iterator[None]:
    tell(bench.services, family.ALLOWED)
    with family.known():
        yield


def _given(bench: Bench, job: NewJob) -> UUID:
    with bench.services.database.transaction() as tx:
        jobs.insert(tx, [job])
    return job.id


def _children(bench: Bench, parent_id: UUID) -> list[UUID]:
    of = "SELECT id FROM jobs WHERE parent_id = %(id)s ORDER BY id"
    return [row.id for row in ask(bench.services, of, id=str(parent_id))]


def test_a_job_waits_for_its_children_then_for_a_time_and_is_done(bench: Bench) -> None:
    parent_id = _given(bench, family.new_family(PROJECT, children_ms=[1, 1]))
    worker = bench.worker()
    bench.execute(parent_id, worker=worker)
    waiting = bench.view(parent_id)
    assert (waiting.state, waiting.attempt, waiting.deferrals) == (State.WAITING, 0, 0)
    first, last = _children(bench, parent_id)
    bench.execute(first, worker=worker)
    assert bench.view(parent_id).state is State.WAITING
    bench.execute(last, worker=worker)
    assert bench.view(parent_id).state is State.QUEUED
    bench.execute(parent_id, worker=worker)
    assert bench.view(parent_id).state is State.WAITING
    assert wake_due(bench.services) == 1
    bench.execute(parent_id, worker=worker)
    done = bench.view(parent_id)
    assert (done.state, done.attempt, done.output) == (State.SUCCEEDED, 1, {"children": 2})
    assert [bench.calls(one) for one in (first, last)] == [1, 1]


def test_a_job_whose_worker_died_before_it_waited_bears_no_more_children(bench: Bench) -> None:
    parent_id = _given(bench, family.new_family(PROJECT, children_ms=[1]))
    bench.execute(parent_id)
    back = "UPDATE jobs SET state = 'queued', waiting_for = NULL WHERE id = %(id)s"
    tell(bench.services, back, id=str(parent_id))
    bench.execute(parent_id)
    assert bench.view(parent_id).state is State.WAITING
    assert len(_children(bench, parent_id)) == 1


def test_a_child_that_ends_about_when_its_parent_goes_to_wait_wakes_it(bench: Bench) -> None:
    parent_id = _given(bench, family.new_family(PROJECT, children_ms=[1], pause_s=0.2))
    bench.run(_meet(bench, parent_id, bench.worker(), bench.worker()))
    assert bench.view(parent_id).state is State.QUEUED


async def _meet(bench: Bench, parent_id: UUID, one: Worker, other: Worker) -> None:
    parent = asyncio.create_task(execute(one, [parent_id]))
    await until(lambda: _children(bench, parent_id), 60.0)
    await execute(other, _children(bench, parent_id))
    await parent


def test_the_call_that_a_claim_opened_is_closed_as_never_sent_by_a_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(_means: Means, _job: ClaimedJob) -> WaitFor:
        return WaitFor.time(60.0)

    completion = runners.RUNNERS[Kind.COMPLETION]
    monkeypatch.setitem(runners.RUNNERS, Kind.COMPLETION, Runner(wait, completion.first_call))  # type: ignore[arg-type]
    job_id = bench.submit()
    bench.execute(job_id)
    [call] = ask(bench.services, f"SELECT status, cost_micros FROM {EVERY_CALL} c")
    assert (call.status, call.cost_micros) == ("failed", 0)
    assert cancel(bench.services, OWNER, job_id).cost_micros == 0
