"""Jobs whose workers died run apart, in ever smaller groups, before one is called poison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest

from factory.domain.job import ClaimedJob, new_id, public_id
from factory.domain.quarantine import GROUPS, QUARANTINE_DEATHS
from factory.domain.state import State
from factory.pipeline.dispatch.publish import QUARANTINE_WINDOW, Message, dispatch
from factory.services import Services
from factory.store import moves
from factory.store.archive import EVERY_JOB
from factory.store.database import rows, run
from tests.integration.pipeline.bench import Bench
from tests.integration.store.samples import (
    ask,
    claim_one,
    end,
    finish,
    given_job,
    given_jobs,
    given_worker,
    tell,
)
from workers.events import JobEvents
from workers.quarantine import Death, Quarantine, end_group


def _kill_workers_of(services: Services, job_id: UUID, times: int) -> None:
    for _ in range(times):
        job = claim_one(services, job_id)
        finish(services, end(job, State.QUEUED, worker_died=True))


def _claim_alone(services: Services, job_id: UUID) -> ClaimedJob:
    with services.database.transaction() as tx:
        return moves.claim(tx, new_id(), [job_id], quarantine=True)[0]


def _sent(services: Services) -> list[Message]:
    sent: list[Message] = []

    def send(_lane: str, messages: Sequence[Message]) -> None:
        sent.extend(messages)

    dispatch(services, send)
    return sent


def test_a_job_that_killed_two_workers_is_published_apart(services: Services) -> None:
    given_worker(services)
    killer, innocent = given_job(services), given_job(services)
    _kill_workers_of(services, killer, QUARANTINE_DEATHS)
    apart = {tuple(message.job_ids): message.quarantine for message in _sent(services)}
    assert apart == {(killer,): True, (innocent,): False}


@pytest.mark.parametrize("rung", range(len(GROUPS)))
def test_jobs_share_a_message_in_smaller_groups_the_more_they_died(
    services: Services, rung: int
) -> None:
    given_worker(services)
    given_jobs(services, 520)
    _have_died(services, QUARANTINE_DEATHS + rung)
    sizes = [len(message.job_ids) for message in _sent(services)]
    assert sum(sizes) == 520
    assert max(sizes) == GROUPS[rung]


def _have_died(services: Services, deaths: int) -> None:
    tell(services, "UPDATE jobs SET deaths = %(deaths)s", deaths=deaths)


def test_many_quarantined_jobs_leave_the_lane_to_the_others(services: Services) -> None:
    given_worker(services, slots=10)
    given_jobs(services, QUARANTINE_WINDOW + 10)
    _have_died(services, QUARANTINE_DEATHS)
    innocent = set(given_jobs(services, 10))
    apart = {True: set(), False: set()}
    for message in [*_sent(services), *_sent(services)]:
        apart[message.quarantine] |= set(message.job_ids)
    assert apart[False] == innocent
    assert len(apart[True]) == QUARANTINE_WINDOW


def test_an_ordinary_worker_cannot_take_it(services: Services) -> None:
    job_id = given_job(services)
    _kill_workers_of(services, job_id, QUARANTINE_DEATHS)
    with services.database.transaction() as tx:
        assert moves.claim(tx, new_id(), [job_id]) == []
        assert [job.id for job in moves.claim(tx, new_id(), [job_id], quarantine=True)] == [job_id]


def test_a_job_that_kills_its_own_process_is_poison(services: Services) -> None:
    job_id, process_id = given_job(services), given_worker(services)
    _kill_workers_of(services, job_id, QUARANTINE_DEATHS)
    with services.database.transaction() as tx:
        moves.claim(tx, process_id, [job_id], quarantine=True)
    with services.database.transaction() as tx:
        end_group(tx, [Death(process_id, alone=True)])
    with services.database.transaction() as tx:
        found = rows(
            tx,
            "SELECT j.state, j.deaths, r.error FROM jobs j JOIN job_outcomes r ON r.job_id = j.id",
        )[0]
    assert (found.state, found.deaths) == ("failed", QUARANTINE_DEATHS + 1)
    assert found.error["type"] == "poison_job"


def test_jobs_that_shared_a_dead_process_lose_no_attempt_and_go_on_in_smaller_groups(
    services: Services,
) -> None:
    process_id = given_worker(services)
    job_ids = given_jobs(services, 3)
    _have_died(services, QUARANTINE_DEATHS)
    with services.database.transaction() as tx:
        claimed = moves.claim(tx, process_id, job_ids, quarantine=True)
    finish(services, end(claimed[0], State.SUCCEEDED))
    with services.database.transaction() as tx:
        end_group(tx, [Death(process_id, alone=False)])
    found = ask(services, f"SELECT state, attempt, deaths FROM {EVERY_JOB} j ORDER BY state")
    assert [tuple(row) for row in found] == [
        ("queued", 0, QUARANTINE_DEATHS + 1),
        ("queued", 0, QUARANTINE_DEATHS + 1),
        ("succeeded", 1, QUARANTINE_DEATHS),
    ]


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


def _run_quarantined(bench: Bench, quarantine: Quarantine, *messages: Sequence[UUID]) -> None:
    async def scenario() -> None:
        try:
            for job_ids in messages:
                await quarantine.run(job_ids)
        finally:
            await quarantine.close()

    bench.run(scenario())


@pytest.mark.usefixtures("child_environment")
def test_a_quarantined_job_is_run_once_however_many_hints_come(bench: Bench) -> None:
    services, worker = bench.services, bench.worker()
    job_id = bench.submit()
    _kill_workers_of(services, job_id, QUARANTINE_DEATHS)
    bench.make_due(job_id)
    before = _processes(services)
    _run_quarantined(bench, Quarantine(worker), *[[job_id]] * 3)
    assert bench.view(job_id).state is State.SUCCEEDED
    assert _processes(services) == before + 1


@pytest.mark.usefixtures("child_environment")
def test_flower_hears_of_quarantined_jobs_as_of_all_jobs(bench: Bench) -> None:
    services, worker = bench.services, bench.worker()
    good, bad = bench.submit(), bench.submit(input="{{simulate status=400}}")
    _have_died(services, QUARANTINE_DEATHS)
    heard: list[tuple[str, Mapping[str, Any]]] = []
    events = JobEvents(str, lambda event, fields: heard.append((event, fields)))
    _run_quarantined(bench, Quarantine(worker, events), [good, bad])
    told = {(event, fields["uuid"]): fields for event, fields in heard}
    assert {event for event, job_id in told if job_id == public_id(good)} == {
        "task-received",
        "task-started",
        "task-succeeded",
    }
    assert told["task-failed", public_id(bad)]["exception"].startswith("provider_refused: ")
    assert told["task-started", public_id(bad)]["name"] == "completion"
    assert events.active == 0


@pytest.mark.usefixtures("child_environment")
def test_a_worker_that_drains_starts_no_process(bench: Bench) -> None:
    services, worker = bench.services, bench.worker()
    job_id = bench.submit()
    _kill_workers_of(services, job_id, QUARANTINE_DEATHS)
    bench.make_due(job_id)
    before, worker.draining = _processes(services), True
    _run_quarantined(bench, Quarantine(worker), [job_id])
    assert bench.view(job_id).state is State.QUEUED
    assert _processes(services) == before


@pytest.mark.usefixtures("child_environment")
def test_a_group_shares_one_process(bench: Bench) -> None:
    services, worker = bench.services, bench.worker()
    job_ids = [bench.submit() for _ in range(5)]
    _have_died(services, QUARANTINE_DEATHS)
    before = _processes(services)
    _run_quarantined(bench, Quarantine(worker), job_ids)
    assert {bench.view(job_id).state for job_id in job_ids} == {State.SUCCEEDED}
    assert _processes(services) == before + 1
