"""Cancellations at the worst moments: between an answer and its commit, while a result is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from factory.domain.state import State
from factory.pipeline.run.execute import execute
from factory.pipeline.run.worker import Worker
from factory.services import Services
from factory.store.database import Tx
from tests.integration.pipeline.bench import Bench, until
from tests.integration.store.samples import ask, state_of, waits_for_locks


@contextmanager
def _holding(services: Services, statement: str) -> Iterator[Tx]:
    """Locks that make the writer's next commit wait; `rollback` lets it go on."""
    with services.database.engine.connect() as connection:
        # Whoever holds it may wait for longer than a program may.
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.exec_driver_sql(statement)
        yield connection


async def _a_write_waits(services: Services) -> None:
    await until(lambda: waits_for_locks(services))


async def _pass_writes(worker: Worker) -> None:
    """Whatever was handed to the writer's free thread before is committed."""
    for _ in range(3):
        await asyncio.sleep(0)
        await worker.committer.write(_nothing, None)


def _nothing(_tx: Tx, items: list[None]) -> Sequence[None]:
    return items


def test_an_answer_that_a_drain_interrupts_ends_its_job(bench: Bench) -> None:
    job_id, worker = bench.submit(input="Hi. {{simulate latency_ms=1500}}"), bench.worker()

    async def work() -> None:
        running = asyncio.ensure_future(execute(worker, [job_id]))
        await until(lambda: bench.calls(job_id))
        with _holding(bench.services, "SELECT FROM jobs FOR UPDATE") as lock:
            await _a_write_waits(bench.services)
            worker.draining = True
            running.cancel()
            await _pass_writes(worker)
            assert state_of(bench.services, job_id) is State.RUNNING
            lock.rollback()
        with pytest.raises(asyncio.CancelledError):
            await running

    bench.run(work())
    assert (bench.view(job_id).state, bench.calls(job_id)) == (State.SUCCEEDED, 1)


def test_an_answer_that_a_cancel_interrupts_is_the_jobs_result(bench: Bench) -> None:
    job_id, worker = bench.submit(input="Hi. {{simulate latency_ms=1500}}"), bench.worker()

    async def work() -> None:
        running = asyncio.ensure_future(execute(worker, [job_id]))
        await until(lambda: bench.calls(job_id))
        with _holding(bench.services, "SELECT FROM jobs FOR UPDATE") as lock:
            await _a_write_waits(bench.services)
            worker.cancel(job_id)
            await _pass_writes(worker)
            lock.rollback()
        await running

    bench.run(work())
    job = bench.view(job_id)
    assert (job.state, job.unknown_calls) == (State.SUCCEEDED, 0)
    assert (job.cost_micros or 0) > 0


def test_a_call_that_was_cancelled_before_it_was_sent_cost_nothing(bench: Bench) -> None:
    job_id, worker = bench.submit(), bench.worker()

    async def work() -> None:
        with _holding(bench.services, "LOCK TABLE jobs IN SHARE MODE") as lock:
            running = asyncio.ensure_future(execute(worker, [job_id]))
            await _a_write_waits(bench.services)
            worker.cancel(job_id)
            await _pass_writes(worker)
            lock.rollback()
        await running

    bench.run(work())
    job = bench.view(job_id)
    assert (job.state, bench.calls(job_id)) == (State.CANCELLED, 0)
    assert (job.cost_micros, job.unknown_calls) == (0, 0)
    assert ask(bench.services, "SELECT FROM llm_calls WHERE status = 'open'") == []


@pytest.mark.parametrize("moment", ["claim", "report"])
def test_a_late_cancel_does_not_part_a_hint_from_its_other_jobs(bench: Bench, moment: str) -> None:
    quick = bench.submit(input="Hi. {{simulate latency_ms=1500}}")
    slow = bench.submit(input="Hi. {{simulate latency_ms=2500}}")
    worker = bench.worker()
    lock_table = "LOCK TABLE job_requests IN ACCESS EXCLUSIVE MODE"
    lock_row = f"SELECT FROM jobs WHERE id = '{quick}' FOR UPDATE"

    async def work() -> None:
        if moment == "claim":
            with _holding(bench.services, lock_table) as lock:
                running = asyncio.ensure_future(execute(worker, [quick, slow]))
                await _a_write_waits(bench.services)
                worker.cancel(quick)
                await asyncio.sleep(0)
                lock.rollback()
        else:
            running = asyncio.ensure_future(execute(worker, [quick, slow]))
            await until(lambda: bench.calls(quick))
            with _holding(bench.services, lock_row) as lock:
                await _a_write_waits(bench.services)
                worker.cancel(quick)
                await asyncio.sleep(0)
                lock.rollback()
        await running

    bench.run(work())
    assert state_of(bench.services, slow) is State.SUCCEEDED
    assert state_of(bench.services, quick) is (
        State.CANCELLED if moment == "claim" else State.SUCCEEDED
    )
