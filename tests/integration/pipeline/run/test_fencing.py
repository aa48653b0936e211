"""A worker that has not reached Postgres for a lease begins nothing until its heart beats again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from factory.domain.job import Outcome
from factory.domain.state import State
from factory.pipeline.run.execute import execute
from factory.pipeline.run.worker import Worker
from factory.services import Services
from factory.store import moves
from factory.store.database import Tx, rows
from tests.integration.pipeline.bench import Bench, script, until
from tests.integration.store.samples import state_of, waits_for_locks

LOCK_HEARTBEATS = "LOCK TABLE workers IN EXCLUSIVE MODE"
LOCK_CLAIMS = "LOCK TABLE job_requests IN ACCESS EXCLUSIVE MODE"


@contextmanager
def _holding(services: Services, statement: str) -> Iterator[Tx]:
    with services.database.engine.connect() as connection:
        # Whoever holds it may wait for longer than a program may.
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.exec_driver_sql(statement)
        yield connection


async def _waiting(services: Services, statements: int) -> None:
    await until(lambda: waits_for_locks(services) >= statements)


def _fence(worker: Worker) -> None:
    worker.extend_leases(time.monotonic())


def test_a_worker_that_fenced_itself_claims_nothing_until_it_beats_again(bench: Bench) -> None:
    job_id, worker = bench.submit(), bench.worker()

    async def work() -> None:
        with _holding(bench.services, LOCK_HEARTBEATS) as lock:
            await _waiting(bench.services, 1)
            _fence(worker)
            running = asyncio.ensure_future(execute(worker, [job_id]))
            done, _ = await asyncio.wait([running], timeout=0.5)
            assert not done
            assert state_of(bench.services, job_id) is State.QUEUED
            lock.rollback()
        await running

    bench.run(work())
    job = bench.view(job_id)
    assert (job.state, job.attempt, job.deferrals) == (State.SUCCEEDED, 1, 0)


def test_a_fenced_worker_that_drains_lets_its_hints_go(bench: Bench) -> None:
    job_id, worker = bench.submit(), bench.worker()

    async def work() -> None:
        with _holding(bench.services, LOCK_HEARTBEATS) as lock:
            await _waiting(bench.services, 1)
            _fence(worker)
            worker.draining = True
            await execute(worker, [job_id])
            lock.rollback()

    bench.run(work())
    assert state_of(bench.services, job_id) is State.QUEUED


def test_a_claim_that_came_after_the_lease_is_given_back_without_an_attempt(bench: Bench) -> None:
    job_id, worker = bench.submit(), bench.worker()

    async def work() -> None:
        with _holding(bench.services, LOCK_HEARTBEATS) as heartbeats:
            with _holding(bench.services, LOCK_CLAIMS) as claims:
                running = asyncio.ensure_future(execute(worker, [job_id]))
                await _waiting(bench.services, 2)
                _fence(worker)
                claims.rollback()
            await running
            heartbeats.rollback()

    bench.run(work())
    job = bench.view(job_id)
    assert (job.state, job.attempt, job.deferrals) == (State.QUEUED, 0, 1)
    assert bench.calls(job_id) == 0


def test_what_a_late_worker_paid_is_in_the_usage_of_a_job_that_ends_at_that_moment(
    bench: Bench,
) -> None:
    job_id, worker = bench.submit(input=script("latency_ms=3000")), bench.worker()
    steal = "UPDATE jobs SET lease_token = nextval('lease_tokens') WHERE id = %(id)s RETURNING lease_token"

    async def work() -> None:
        late = asyncio.ensure_future(execute(worker, [job_id]))
        await until(lambda: bench.calls(job_id))
        with bench.services.database.transaction() as tx:
            [row] = rows(tx, steal, {"id": str(job_id)})
        with bench.services.database.transaction() as tx:
            moves.finish(tx, [Outcome(job_id, row.lease_token, State.SUCCEEDED, output={"a": 1})])
            await until(lambda: late.done() or waits_for_locks(bench.services))
        await late

    bench.run(work())
    job = bench.view(job_id)
    assert (job.state, job.unknown_calls) == (State.SUCCEEDED, 0)
    assert job.output_tokens > 0
