"""Threads that submit at the same moment share a commit, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import IntegrityError

from factory.domain.job import NewJob
from factory.errors import Unavailable
from factory.services import Services
from factory.store import jobs
from factory.store.database import Tx, run
from factory.store.jobs import JobView
from factory.store.statement_batch import StatementBatch
from tests.integration.store.samples import OWNER, ask, new_job

THREADS = 8
PATIENCE_S = 60.0
LOCK = "LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE"
CANCEL = (
    "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'jobs'::regclass"
)
BLOCKED = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'jobs'::regclass"


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def _nothing_can_be_written(services: Services) -> Iterator[None]:
    with services.database.transaction() as tx:
        run(tx, LOCK)
        yield


def _accept(tx: Tx, given: list[NewJob]) -> list[JobView]:
    times = jobs.accept(tx, given)
    return [jobs.queued(*one) for one in zip(given, times, strict=True)]


def _accept_at_once(
    services: Services, threads: ThreadPoolExecutor, given: list[NewJob], most: int = THREADS
) -> list[Future[JobView]]:
    """The first job's commit is under way when the others come."""
    batch = StatementBatch(_accept, most)
    with _nothing_can_be_written(services):
        futures = [threads.submit(batch.run, services.database, OWNER, given[0])]
        _until(lambda: ask(services, BLOCKED))
        futures += [threads.submit(batch.run, services.database, OWNER, job) for job in given[1:]]
        _until(lambda: len(batch._waiting) == len(given) - 1)
    return futures


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


def test_jobs_that_come_during_a_commit_share_the_next(
    services: Services, threads: ThreadPoolExecutor
) -> None:
    given = [new_job() for _ in range(THREADS)]
    views = [future.result() for future in _accept_at_once(services, threads, given)]

    assert [view.id for view in views] == [job.id for job in given]
    # created_at is the start of the transaction.
    assert len({view.created_at for view in views[1:]}) == 1
    assert views[0].created_at < views[1].created_at
    assert len(ask(services, "SELECT FROM jobs")) == THREADS


def test_a_batch_may_take_one_at_a_time(services: Services, threads: ThreadPoolExecutor) -> None:
    given = [new_job() for _ in range(3)]
    views = [future.result() for future in _accept_at_once(services, threads, given, most=1)]

    assert [view.id for view in views] == [job.id for job in given]
    assert len({view.created_at for view in views}) == 3


def test_a_job_that_postgres_refuses_fails_alone(
    services: Services, threads: ThreadPoolExecutor
) -> None:
    given = [new_job() for _ in range(THREADS)]
    given[3] = new_job(max_attempts=-1)
    futures = _accept_at_once(services, threads, given)

    with pytest.raises(IntegrityError):
        futures[3].result()
    assert [future.result().id for future in futures if future is not futures[3]] == [
        job.id for job in given if job is not given[3]
    ]
    assert len(ask(services, "SELECT FROM jobs")) == THREADS - 1


def test_what_is_made_of_a_stored_job_fails_nobody(
    services: Services, threads: ThreadPoolExecutor
) -> None:
    given = [new_job() for _ in range(THREADS)]
    given[3] = new_job(
        run_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-14)))
    )
    futures = _accept_at_once(services, threads, given)

    assert [future.result().id for future in futures] == [job.id for job in given]


def test_without_postgres_each_thread_is_told_and_the_next_is_served(
    services: Services, threads: ThreadPoolExecutor
) -> None:
    batch = StatementBatch(_accept)
    with _nothing_can_be_written(services):
        futures = [threads.submit(batch.run, services.database, OWNER, new_job()) for _ in range(4)]
        _until(lambda: len(batch._waiting) == 3)
        _until(lambda: ask(services, CANCEL))
        _until(lambda: any(future.done() for future in futures))
        _until(lambda: ask(services, CANCEL))
        errors = [future.exception(PATIENCE_S) for future in futures]

    assert all(isinstance(error, Unavailable) for error in errors)
    assert len(set(map(id, errors))) == 4
    assert batch.run(services.database, OWNER, new_job())
