"""Hints: which jobs go out, in which order, and how lost ones come back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from factory.domain.job import new_id
from factory.domain.lanes import Priority
from factory.domain.state import State
from factory.services import Services
from factory.store import hints, lost_hints, moves
from factory.store.database import ids, run
from factory.store.hints import InFlight
from tests.integration.store.samples import (
    OTHER_PROJECT,
    PROJECT,
    ask,
    claim_one,
    end,
    finish,
    given_job,
    given_jobs,
    given_state,
    given_worker,
    publish,
    silence,
    tell,
)

LANE = "openai.normal"


def test_a_job_is_published_once(services: Services) -> None:
    job_ids = given_jobs(services, 3)
    assert sorted(publish(services, LANE, 10)) == sorted(job_ids)
    assert publish(services, LANE, 10) == []


def test_the_oldest_of_a_project_go_first_and_no_more_than_the_window(services: Services) -> None:
    job_ids = [_due_since(services, seconds) for seconds in (10, 30, 20)]
    assert publish(services, LANE, 2) == [job_ids[1], job_ids[2]]
    assert publish(services, LANE, 2) == [job_ids[0]]


def _due_since(services: Services, seconds: int) -> UUID:
    return given_job(services, run_at=datetime.now(UTC) - timedelta(seconds=seconds))


def test_a_project_with_one_job_does_not_wait_for_one_with_a_thousand(services: Services) -> None:
    given_jobs(services, 1000, project_id=OTHER_PROJECT)
    mine = given_job(services, project_id=PROJECT)
    assert publish(services, LANE, 2)[:2].count(mine) == 1


def test_turns_go_round_the_projects(services: Services) -> None:
    many = set(given_jobs(services, 20, project_id=OTHER_PROJECT))
    few = set(given_jobs(services, 3, project_id=PROJECT))
    first = publish(services, LANE, 6)
    assert [job_id in few for job_id in first].count(True) == 3
    assert len(many & set(first)) == 3


def test_what_a_project_has_in_flight_counts_against_its_turn(services: Services) -> None:
    busy = given_jobs(services, 10, project_id=OTHER_PROJECT)
    running = publish(services, LANE, 4)
    for job_id in running[:2]:
        claim_one(services, job_id)
    mine = given_jobs(services, 4, project_id=PROJECT)
    assert set(publish(services, LANE, 4)) == set(mine)
    assert set(publish(services, LANE, 10)) == set(busy) - set(running)


def test_projects_fill_up_to_the_same_level(services: Services) -> None:
    for project_id, running in ((PROJECT, 4), (OTHER_PROJECT, 1)):
        given_jobs(services, 20, project_id=project_id)
        for job_id in publish(services, LANE, running):
            claim_one(services, job_id)
        tell(services, "UPDATE jobs SET lane = 'away' WHERE state = 'queued'")
    tell(services, "UPDATE jobs SET lane = %(lane)s", lane=LANE)
    given_jobs(services, 20, project_id=new_id())
    published = publish(services, LANE, 7)
    owners = Counter(row.project_id for row in _projects_of(services, published))
    assert sorted(owners.values()) == [3, 4]
    assert owners[OTHER_PROJECT] == 3


def _projects_of(services: Services, job_ids: list[UUID]) -> Sequence[Any]:
    statement = "SELECT project_id FROM jobs WHERE id = ANY(CAST(%(ids)s AS uuid[]))"
    return ask(services, statement, ids=ids(job_ids))


def test_what_a_project_leaves_of_its_share_is_others_in_the_next_round(services: Services) -> None:
    given_job(services, project_id=PROJECT)
    given_jobs(services, 10, project_id=OTHER_PROJECT)
    assert len(publish(services, LANE, 8)) == 5
    assert len(publish(services, LANE, 3)) == 3


def test_a_project_whose_jobs_are_all_of_the_future_has_no_share(services: Services) -> None:
    given_jobs(services, 3, project_id=OTHER_PROJECT, run_at=datetime.now(UTC) + timedelta(hours=1))
    mine = given_jobs(services, 10, project_id=PROJECT)
    assert set(publish(services, LANE, 4)) < set(mine)


def test_a_job_of_the_future_is_not_published(services: Services) -> None:
    job_id = given_job(services, run_at=datetime.now(UTC) + timedelta(minutes=1))
    assert publish(services, LANE, 5) == []
    tell(services, "UPDATE jobs SET run_at = now()")
    assert publish(services, LANE, 5) == [job_id]


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_only_queued_jobs_are_published(services: Services, state: State) -> None:
    given_state(services, state)
    assert publish(services, LANE, 5) == []


def test_another_lane_is_left_alone(services: Services) -> None:
    given_job(services, priority=Priority.BULK)
    assert publish(services, LANE, 5) == []
    assert len(publish(services, "openai.bulk", 5)) == 1


def test_two_dispatchers_at_once_publish_each_job_once(services: Services) -> None:
    job_ids = given_jobs(services, 60)
    start = threading.Barrier(2)
    published: list[UUID] = []

    def work() -> None:
        start.wait(60)
        for _ in range(10):
            published.extend(publish(services, LANE, 10))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    published.extend(publish(services, LANE, 60))
    assert sorted(published) == sorted(job_ids)


def test_a_dispatcher_passes_over_what_a_claim_holds(services: Services) -> None:
    job_ids = given_jobs(services, 4)
    worker_id = given_worker(services)
    sent = publish(services, LANE, 2)
    with services.database.transaction() as tx:
        held = [job.id for job in moves.claim(tx, worker_id, sent)]
        others = publish(services, LANE, 4)
    assert sorted(held) == sorted(sent)
    assert sorted(held + others) == sorted(job_ids)


def test_lanes_with_work_are_found_whatever_their_number(services: Services) -> None:
    for priority in Priority:
        given_jobs(services, 3, priority=priority)
    given_job(services, provider="anthropic")
    published = given_job(services, provider="gemini")
    assert publish(services, "gemini.normal", 1) == [published]
    with services.database.transaction() as tx:
        found = hints.look(tx, 15.0).due
    assert found == [
        "anthropic.normal",
        "openai.bulk",
        "openai.high",
        "openai.low",
        "openai.normal",
    ]


def test_what_is_published_or_runs_is_in_flight(services: Services) -> None:
    for state in State:
        given_state(services, state)
    assert _in_flight(services) == {LANE: InFlight(1)}
    publish(services, LANE, 5)
    assert _in_flight(services) == {LANE: InFlight(2)}


def _in_flight(services: Services) -> dict[str, InFlight]:
    with services.database.transaction() as tx:
        return hints.look(tx, 15.0).in_flight


def test_slots_are_those_of_workers_that_live_and_take_jobs(services: Services) -> None:
    given_worker(services, lanes=[LANE, "openai.high"], slots=10)
    given_worker(services, lanes=[LANE], slots=5)
    silent = given_worker(services, lanes=[LANE], slots=100)
    silence(services, silent, 20)
    draining, stopped = given_worker(services), given_worker(services)
    tell(services, "UPDATE workers SET draining_at = now() WHERE id = %(id)s", id=str(draining))
    tell(services, "UPDATE workers SET stopped_at = now() WHERE id = %(id)s", id=str(stopped))
    with services.database.transaction() as tx:
        assert hints.look(tx, 15.0).workers == {LANE: {10: 1, 5: 1}, "openai.high": {10: 1}}


def test_a_hint_that_nobody_claims_goes_out_again_with_growing_patience(
    services: Services,
) -> None:
    job_id = given_job(services)
    for patience_s in (10, 20, 40, 80, 160, 300, 300):
        assert publish(services, LANE, 1) == [job_id]
        assert _forgotten_after(services, patience_s - 1) == 0
        assert _forgotten_after(services, patience_s + 1) == 1


def _forgotten_after(services: Services, seconds: int) -> int:
    """In one transaction, whose clock stands still."""
    published = "UPDATE hints SET published_at = now() - make_interval(secs => %(s)s)"
    with services.database.transaction() as tx:
        run(tx, published, {"s": seconds})
        return lost_hints.forget_lost(tx)


def test_a_claim_restores_the_patience(services: Services) -> None:
    job_id = given_job(services)
    publish(services, LANE, 1)
    _forgotten_after(services, 11)
    publish(services, LANE, 1)
    finish(services, end(claim_one(services, job_id), State.QUEUED))
    publish(services, LANE, 1)
    assert _forgotten_after(services, 11) == 1


def test_the_hint_of_a_running_job_is_not_lost(services: Services) -> None:
    job_id = given_job(services)
    publish(services, LANE, 1)
    claim_one(services, job_id)
    with services.database.transaction() as tx:
        assert lost_hints.forget_lost(tx) == lost_hints.forget_all(tx) == 0
        assert lost_hints.unpublish(tx, LANE, [job_id]) == 0


def test_a_new_broker_makes_every_hint_go_out_again(services: Services) -> None:
    job_ids = given_jobs(services, 5)
    publish(services, LANE, 3)
    with services.database.transaction() as tx:
        assert lost_hints.forget_all(tx) == 3
    assert sorted(publish(services, LANE, 10)) == sorted(job_ids)
    assert [row.publishes for row in ask(services, "SELECT publishes FROM hints")] == [1] * 5
