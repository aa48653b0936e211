"""Jobs stopped on their way: by their owner, by a drain, by the loss of their worker."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from factory.domain.job import Outcome, public_id
from factory.domain.state import State
from factory.pipeline.accept.control import cancel
from factory.pipeline.run.execute import execute
from factory.simulator.journal import Phase
from factory.store.archive import EVERY_CALL
from tests.integration.pipeline.bench import Bench, script, timed, until
from tests.integration.store.samples import OWNER, ask, finish, state_of
from tests.integration.store.samples import claim as claim_for


def test_a_cancel_closes_a_running_job(bench: Bench) -> None:
    job_id = bench.submit(input=script("hang"))
    worker = bench.worker()

    async def work() -> float:
        running = asyncio.ensure_future(execute(worker, [job_id]))
        await until(lambda: bench.calls(job_id))
        assert cancel(bench.services, OWNER, job_id).state is State.RUNNING
        return await timed(running)

    assert bench.run(work()) < 60  # the call itself never ends
    job = bench.view(job_id)
    assert (job.state, job.unknown_calls, job.attempt) == (State.CANCELLED, 1, 1)
    assert job.error is not None
    assert job.error["type"] == "cancelled"
    [call] = ask(bench.services, f"SELECT status, error_type FROM {EVERY_CALL} c")
    assert (call.status, call.error_type) == ("failed", "cancelled")
    bench.run(until(lambda: bench.simulator.calls(public_id(job_id))[-1].phase is Phase.ABORTED))


def test_a_cancelled_queued_job_is_never_run(bench: Bench) -> None:
    job_id = bench.submit()
    assert cancel(bench.services, OWNER, job_id).state is State.CANCELLED
    bench.execute(job_id)
    assert bench.calls(job_id) == 0


def test_one_cancelled_job_leaves_the_others_of_its_hint_alone(bench: Bench) -> None:
    hanging = bench.submit(input=script("hang"))
    others = [bench.submit(input=script("latency_ms=1500")) for _ in range(3)]
    worker = bench.worker()

    async def work() -> None:
        running = asyncio.ensure_future(execute(worker, [hanging, *others]))
        await until(lambda: bench.calls(hanging))
        worker.cancel(hanging)
        await running

    bench.run(work())
    assert bench.view(hanging).state is State.CANCELLED
    assert {bench.view(job_id).state for job_id in others} == {State.SUCCEEDED}


def test_a_draining_worker_gives_its_jobs_back_without_an_attempt(bench: Bench) -> None:
    job_id = bench.submit(input=script("hang times=1"))
    worker = bench.worker()

    async def work() -> None:
        running = asyncio.ensure_future(execute(worker, [job_id]))
        await until(lambda: bench.calls(job_id))
        worker.draining = True
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    bench.run(work())
    job = bench.view(job_id)
    assert (job.state, job.attempt, job.deferrals) == (State.QUEUED, 0, 1)
    bench.execute(job_id)
    assert (bench.view(job_id).state, bench.view(job_id).attempt) == (State.SUCCEEDED, 1)


def test_a_job_that_its_owner_cancels_is_not_given_back_by_a_draining_worker(
    bench: Bench,
) -> None:
    job_id = bench.submit(input=script("hang"))
    worker = bench.worker()

    async def work() -> None:
        running = asyncio.ensure_future(execute(worker, [job_id]))
        await until(lambda: bench.calls(job_id))
        worker.draining = True
        cancel(bench.services, OWNER, job_id)
        await running

    bench.run(work())
    assert bench.view(job_id).state is State.CANCELLED


def _lose(bench: Bench, job_id: UUID) -> None:
    """The job's worker has died: nothing of it is left but its row."""
    [row] = ask(bench.services, "SELECT lease_token FROM jobs WHERE id = %(id)s", id=str(job_id))
    finish(bench.services, Outcome(job_id, row.lease_token, State.QUEUED))


def test_a_late_worker_is_refused_while_its_step_serves_the_next_attempt(bench: Bench) -> None:
    job_id = bench.submit(input=script("latency_ms=3000 times=1"))
    late, next_worker = bench.worker(), bench.worker()

    async def work() -> None:
        running = asyncio.ensure_future(execute(late, [job_id]))
        await until(lambda: bench.calls(job_id))
        _lose(bench, job_id)
        await running
        assert state_of(bench.services, job_id) is State.QUEUED
        await execute(next_worker, [job_id])

    bench.run(work())
    job = bench.view(job_id)
    assert (job.state, job.attempt, bench.calls(job_id)) == (State.SUCCEEDED, 2, 1)
    assert job.unknown_calls == 0
    assert (job.cost_micros or 0) > 0


def test_a_claim_that_nobody_heard_of_is_taken_up_again(bench: Bench) -> None:
    job_id = bench.submit()
    worker = bench.worker()
    claim_for(bench.services, worker.id, job_id)
    bench.execute(job_id, worker=worker)
    assert (bench.view(job_id).state, bench.view(job_id).attempt) == (State.SUCCEEDED, 1)
