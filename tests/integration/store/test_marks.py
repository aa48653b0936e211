"""Programs of before beside the new ones: they know `jobs.published_at` and no hints."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from factory.domain.state import State
from factory.services import Services
from factory.store import hints, lost_hints
from factory.store.database import run
from factory.store.hints import InFlight, Look
from factory.store.restores import END_LEASES, FORGET_HINTS
from tests.integration.store.samples import (
    ask,
    claim_one,
    end,
    finish,
    given_job,
    given_jobs,
    given_worker,
    publish,
    silence,
    state_of,
    tell,
)

LANE = "openai.normal"
# As the release before publishes, claims and takes back.
MARK = (
    "UPDATE jobs SET published_at = now(), publishes = least(publishes + 1, 20) WHERE id = %(id)s"
)
CLAIM = """
UPDATE jobs SET state = 'running', worker_id = %(worker)s, lease_token = nextval('lease_tokens'),
       attempt = attempt + 1, started_at = now(), published_at = NULL, publishes = 0
 WHERE id = %(id)s
"""


def _look(services: Services) -> Look:
    with services.database.transaction() as tx:
        return hints.look(tx, 15.0)


def _mark(services: Services, job_id: UUID) -> None:
    assert tell(services, MARK, id=str(job_id)) == 1


def _marks(services: Services) -> list[Any]:
    return list(ask(services, "SELECT id FROM jobs WHERE published_at IS NOT NULL"))


def _hints(services: Services) -> list[UUID]:
    return [row.job_id for row in ask(services, "SELECT job_id FROM hints")]


def test_what_a_dispatcher_of_before_has_marked_is_out(services: Services) -> None:
    marked, other = given_jobs(services, 2)
    _mark(services, marked)
    look = _look(services)
    assert look.in_flight == {LANE: InFlight(1)}
    assert look.due == [LANE]
    assert publish(services, LANE, 5) == [other]
    assert not _look(services).due
    claim_one(services, marked)
    assert _marks(services) == []


def test_marks_count_against_a_project_s_turn_and_a_group_s_room(services: Services) -> None:
    for job_id in given_jobs(services, 4)[:2]:
        _mark(services, job_id)
    limits = hints.Limits(free=10, full=3, few=0)
    with services.database.transaction() as tx:
        assert len(hints.publish(tx, LANE, 5, limits)) == 1


@pytest.mark.parametrize("patience_s", [10, 20, 40])
def test_a_mark_is_lost_after_the_same_patience(services: Services, patience_s: int) -> None:
    job_id = given_job(services)
    for _ in range({10: 1, 20: 2, 40: 3}[patience_s]):
        _mark(services, job_id)
    assert _lost_after(services, patience_s - 1) == 0
    assert _lost_after(services, patience_s + 1) == 1
    assert publish(services, LANE, 5) == [job_id]


def _lost_after(services: Services, seconds: int) -> int:
    """In one transaction, whose clock stands still."""
    marked = "UPDATE jobs SET published_at = now() - make_interval(secs => %(s)s)"
    with services.database.transaction() as tx:
        run(tx, marked, {"s": seconds})
        return lost_hints.forget_lost(tx)


def test_a_job_keeps_its_patience_when_a_new_dispatcher_publishes_it(services: Services) -> None:
    job_id = given_job(services)
    _mark(services, job_id)
    assert _lost_after(services, 11) == 1
    publish(services, LANE, 1)
    assert [row.publishes for row in ask(services, "SELECT publishes FROM hints")] == [2]


def test_all_marks_are_taken_back_with_the_hints(services: Services) -> None:
    marked, other = given_jobs(services, 2)
    _mark(services, marked)
    assert publish(services, LANE, 5) == [other]
    with services.database.transaction() as tx:
        assert lost_hints.forget_of_lanes(tx, ["openai.high"]) == 0
        assert lost_hints.forget_of_lanes(tx, [LANE]) == 2
    assert sorted(publish(services, LANE, 5)) == sorted([marked, other])
    _mark(services, marked)
    with services.database.transaction() as tx:
        assert lost_hints.forget_all(tx) == 3
    assert _marks(services) == _hints(services) == []


def test_marks_that_a_silent_worker_may_have_fetched_are_taken_back(services: Services) -> None:
    silence(services, given_worker(services), 20)
    marked = given_job(services)
    _mark(services, marked)
    tell(services, "UPDATE jobs SET published_at = now() - interval '30 seconds'")
    with services.database.transaction() as tx:
        assert lost_hints.forget_fetched(tx, 15.0) == 1
    assert publish(services, LANE, 5) == [marked]


def test_the_hint_of_what_a_worker_of_before_has_claimed_counts_until_it_is_swept(
    services: Services,
) -> None:
    job_id = given_job(services)
    publish(services, LANE, 1)
    _claim_as_before(services, job_id)
    assert _look(services).in_flight == {LANE: InFlight(2)}
    assert _swept(services) == 1
    assert _look(services).in_flight == {LANE: InFlight(1)}
    assert _swept(services) == 0


def _claim_as_before(services: Services, job_id: UUID) -> None:
    assert tell(services, CLAIM, id=str(job_id), worker=str(given_worker(services))) == 1


def _swept(services: Services) -> int:
    with services.database.transaction() as tx:
        return lost_hints.forget_stale(tx)


def test_a_job_that_came_back_before_the_sweep_goes_out_again(services: Services) -> None:
    """Its worker, of before, has claimed it and given it back within a second: the hint was used."""
    job_id = given_job(services)
    publish(services, LANE, 1)
    _claim_as_before(services, job_id)
    again = "UPDATE jobs SET state = 'queued', lease_token = NULL, worker_id = NULL"
    assert tell(services, again) == 1
    assert publish(services, LANE, 1) == []
    assert _swept(services) == 1
    assert publish(services, LANE, 1) == [job_id]
    assert _swept(services) == 0


def test_a_hint_is_stale_once_its_job_has_ended(services: Services) -> None:
    queued, cancelled, gone = given_jobs(services, 3)
    assert len(publish(services, LANE, 3)) == 3
    tell(services, "UPDATE jobs SET state = 'cancelled' WHERE id = %(id)s", id=str(cancelled))
    tell(services, "DELETE FROM jobs WHERE id = %(id)s", id=str(gone))
    assert _swept(services) == 2
    assert _hints(services) == [queued]


def test_what_a_dispatcher_of_before_sends_again_is_run_once(services: Services) -> None:
    job_id = given_job(services)
    publish(services, LANE, 1)
    _mark(services, job_id)
    held = claim_one(services, job_id)
    assert _marks(services) == _hints(services) == []
    assert _look(services).in_flight == {LANE: InFlight(1)}
    finish(services, end(held, State.FAILED))
    assert state_of(services, job_id) is State.FAILED
    assert not _look(services).in_flight


def test_a_restore_takes_marks_and_hints_back(services: Services) -> None:
    marked, other = given_jobs(services, 2)
    _mark(services, marked)
    assert publish(services, LANE, 5) == [other]
    assert tell(services, END_LEASES) == 1
    assert tell(services, FORGET_HINTS) == 1
    assert sorted(publish(services, LANE, 5)) == sorted([marked, other])
