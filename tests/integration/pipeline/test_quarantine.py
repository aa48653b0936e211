"""A job whose workers died runs alone before it is called poison."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from factory.domain.job import QUARANTINE_DEATHS, ClaimedJob, new_id, public_id
from factory.domain.state import State
from factory.pipeline.dispatch import Message, dispatch
from factory.services import Services
from factory.store import moves
from factory.store.database import rows, run
from tests.integration.pipeline.bench import Bench
from tests.integration.store.samples import claim_one, end, finish, given_job, given_worker
from workers.alone import Quarantine, declare_poison


def _kill_workers_of(services: Services, job_id: UUID, times: int) -> None:
    for _ in range(times):
        job = claim_one(services, job_id)
        finish(services, end(job, State.QUEUED, worker_died=True))


def _claim_alone(services: Services, job_id: UUID) -> ClaimedJob:
    with services.database.transaction() as tx:
        return moves.claim(tx, new_id(), [job_id], alone=True)[0]


def _sent(services: Services) -> list[Message]:
    sent: list[Message] = []

    def send(_lane: str, messages: Sequence[Message]) -> None:
        sent.extend(messages)

    dispatch(services, send)
    return sent


def test_a_job_that_killed_two_workers_is_published_alone(services: Services) -> None:
    given_worker(services)
    killer, innocent = given_job(services), given_job(services)
    _kill_workers_of(services, killer, QUARANTINE_DEATHS)
    alone = {tuple(message.job_ids): message.alone for message in _sent(services)}
    assert alone == {(killer,): True, (innocent,): False}


def test_an_ordinary_worker_cannot_take_it(services: Services) -> None:
    job_id = given_job(services)
    _kill_workers_of(services, job_id, QUARANTINE_DEATHS)
    with services.database.transaction() as tx:
        assert moves.claim(tx, new_id(), [job_id]) == []
        assert [job.id for job in moves.claim(tx, new_id(), [job_id], alone=True)] == [job_id]


def test_a_job_that_kills_its_own_process_is_poison(services: Services) -> None:
    job_id, process_id = given_job(services), given_worker(services)
    _kill_workers_of(services, job_id, QUARANTINE_DEATHS)
    with services.database.transaction() as tx:
        moves.claim(tx, process_id, [job_id], alone=True)
    with services.database.transaction() as tx:
        declare_poison(tx, [process_id])
    with services.database.transaction() as tx:
        found = rows(
            tx,
            "SELECT j.state, j.deaths, r.error FROM jobs j JOIN job_results r ON r.job_id = j.id",
        )[0]
    assert (found.state, found.deaths) == ("failed", QUARANTINE_DEATHS + 1)
    assert found.error["type"] == "poison_job"


def test_a_retry_by_the_owner_leaves_quarantine(services: Services) -> None:
    job_id = given_job(services)
    _kill_workers_of(services, job_id, QUARANTINE_DEATHS)
    finish(services, end(_claim_alone(services, job_id), State.FAILED))
    with services.database.transaction() as tx:
        owner = rows(tx, "SELECT project_id FROM jobs WHERE id = %(id)s", {"id": str(job_id)})
        assert moves.retry(tx, owner[0].project_id, job_id)
        run(tx, "UPDATE jobs SET run_at = now() - interval '1 second'")
    assert claim_one(services, job_id).id == job_id


@pytest.fixture
def child_environment(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in quarantine finds the servers of the test."""
    for name in ("database_url", "redis_url", "secret_key", "openai_api_key", "openai_base_url"):
        monkeypatch.setenv(name.upper(), str(getattr(services.settings, name)))


def _processes(services: Services) -> int:
    """How many workers and processes in quarantine there have been."""
    with services.database.transaction() as tx:
        return int(rows(tx, "SELECT count(*) AS n FROM workers")[0].n)


@pytest.mark.usefixtures("child_environment")
def test_a_job_is_run_alone_once_however_many_hints_come(bench: Bench) -> None:
    services, worker = bench.services, bench.worker()
    job_id = bench.submit()
    _kill_workers_of(services, job_id, QUARANTINE_DEATHS)
    bench.make_due(job_id)
    before, quarantine = _processes(services), Quarantine(worker)
    for _ in range(3):
        bench.run(quarantine.run(public_id(job_id)))
    assert bench.view(job_id).state is State.SUCCEEDED
    assert _processes(services) == before + 1


@pytest.mark.usefixtures("child_environment")
def test_a_worker_that_drains_starts_no_process(bench: Bench) -> None:
    services, worker = bench.services, bench.worker()
    job_id = bench.submit()
    _kill_workers_of(services, job_id, QUARANTINE_DEATHS)
    bench.make_due(job_id)
    before, worker.draining = _processes(services), True
    bench.run(Quarantine(worker).run(public_id(job_id)))
    assert bench.view(job_id).state is State.QUEUED
    assert _processes(services) == before
