"""Waiting jobs: each is queued once what it waits for has come, whoever comes first."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import event

from factory.domain.job import Outcome, new_id
from factory.domain.state import State
from factory.domain.waiting import WaitFor, WaitType
from factory.pipeline.accept.control import cancel
from factory.pipeline.finish import finish_jobs
from factory.pipeline.upkeep.rescue import fail_overdue
from factory.pipeline.upkeep.waits import StrandedParents, wake_due
from factory.services import Services
from factory.store import journal, moves, waits
from factory.store.journal import Step
from tests.integration.store.families import (
    ended_child,
    given_family,
    given_waiting,
    go_to_wait,
    report,
    until,
)
from tests.integration.store.samples import (
    BROKE,
    HOOK,
    OWNER,
    PROJECT,
    ask,
    claim_one,
    end,
    finish,
    given_job,
    given_jobs,
    given_state,
    state_of,
    tell,
    view,
    waits_for_locks,
)

WHOLE_HOUR = WaitFor.time(3600.0)
ENDS = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
ONE_PAGE = 8192


def test_a_wait_gives_the_attempt_back_and_keeps_the_steps(services: Services) -> None:
    job_id = given_job(services, max_attempts=1)
    for _ in range(3):
        job = claim_one(services, job_id)
        assert (job.attempt, job.deferrals, job.deferred_s) == (1, 0, None)
        with services.database.transaction() as tx:
            journal.record_steps(tx, [Step(job_id, "first", {"done": True})])
        assert go_to_wait(services, job, WaitFor.time(0.0)) is State.WAITING
        assert view(services, job_id).attempt == 0
        assert wake_due(services) == 1
    assert claim_one(services, job_id).steps == {"first": {"done": True}}


def test_a_job_without_a_parent_costs_no_further_statement_and_no_entry_of_an_index(
    services: Services,
) -> None:
    held = [claim_one(services, one) for one in given_jobs(services, 3, deadline_s=60.0)]
    ends = [end(job, state) for job, state in zip(held, (*ENDS[:2], State.QUEUED), strict=True)]
    made: list[str] = []

    def note(_tx: object, _cursor: object, statement: str, *_: object) -> None:
        made.append(statement)

    event.listen(services.database.engine, "before_cursor_execute", note)
    report(services, *ends)
    event.remove(services.database.engine, "before_cursor_execute", note)
    assert len(made) == 2, "the ends, and what they add to counters"
    for index in ("ix_jobs_waits", "ix_jobs_waiting_deadlines"):
        [row] = ask(services, "SELECT pg_relation_size(%(index)s) AS bytes", index=index)
        assert row.bytes == ONE_PAGE, "nothing but what an empty index has"


def test_a_wait_for_a_time_ends_when_it_has_come_and_not_before(services: Services) -> None:
    job_id = given_waiting(services, WHOLE_HOUR)
    seen = view(services, job_id)
    [row] = ask(services, "SELECT waiting_for, now() AS now FROM jobs")
    assert timedelta(minutes=59) < seen.run_at - row.now <= timedelta(hours=1)
    assert row.waiting_for["type"] == "time"
    assert wake_due(services) == 0
    tell(services, "UPDATE jobs SET run_at = now()")
    assert wake_due(services) == 1
    [row] = ask(services, "SELECT state, waiting_for FROM jobs")
    assert tuple(row) == ("queued", None)


def test_a_parent_goes_on_after_the_last_of_its_children(services: Services) -> None:
    parent, children = given_family(services, 3)
    assert go_to_wait(services, parent, WaitFor.children()) is State.WAITING
    for child, state in zip(children, ENDS, strict=True):
        assert state_of(services, parent.id) is State.WAITING
        report(services, ended_child(child, state))
    assert state_of(services, parent.id) is State.QUEUED


def test_a_child_that_is_to_be_tried_again_has_not_ended(services: Services) -> None:
    parent, [child] = given_family(services, 1)
    go_to_wait(services, parent, WaitFor.children())
    report(services, end(child, State.QUEUED, error=BROKE, parent_id=parent.id))
    assert state_of(services, parent.id) is State.WAITING


def test_a_parent_waits_for_the_children_that_it_names(services: Services) -> None:
    parent, [wanted, other] = given_family(services, 2)
    go_to_wait(services, parent, WaitFor.children([wanted.id]))
    report(services, ended_child(other))
    assert state_of(services, parent.id) is State.WAITING
    report(services, ended_child(wanted))
    assert state_of(services, parent.id) is State.QUEUED


@pytest.mark.parametrize("jobs", [None, (), (new_id(),)])
def test_a_parent_without_an_open_child_is_queued_at_once(
    services: Services, jobs: tuple[UUID, ...] | None
) -> None:
    """Those that it names have ended long ago, and are archived."""
    parent, [child] = given_family(services, 1)
    report(services, ended_child(child))
    assert go_to_wait(services, parent, WaitFor.children(jobs)) is State.QUEUED
    assert claim_one(services, parent.id).attempt == 1


def test_parent_and_child_that_report_together_go_on(services: Services) -> None:
    parent, [child] = given_family(services, 1)
    waits_for = end(parent, State.WAITING, waiting_for=WaitFor.children())
    assert report(services, waits_for, ended_child(child)) == [State.QUEUED, State.SUCCEEDED]


def test_the_event_of_an_earlier_end_is_no_child(services: Services) -> None:
    job_id, _ = given_state(services, State.FAILED, webhook_url=HOOK)
    with services.database.transaction() as tx:
        moves.retry(tx, PROJECT, job_id)
    assert go_to_wait(services, claim_one(services, job_id), WaitFor.children()) is State.QUEUED


@pytest.mark.parametrize("knows_its_parent", [True, False])
@pytest.mark.parametrize("first", ["child", "parent"])
def test_a_wake_up_is_not_lost_whoever_comes_first(
    services: Services, first: str, knows_its_parent: bool
) -> None:
    parent_id = _meet(services, first, knows_its_parent=knows_its_parent)
    assert state_of(services, parent_id) is State.QUEUED


@pytest.mark.parametrize("first", ["child", "parent"])
def test_without_the_lock_the_wake_up_is_lost(
    services: Services, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Otherwise the test above would prove nothing."""
    monkeypatch.setattr(waits, "LOCK", "")
    monkeypatch.setattr(waits, "FAMILIES", "SELECT CAST(%(ids)s AS uuid[])")
    parent_id = _meet(services, first, knows_its_parent=True)
    assert state_of(services, parent_id) is State.WAITING
    assert StrandedParents(services).tick() == 1


def _meet(services: Services, first: str, *, knows_its_parent: bool) -> UUID:
    """A child ends while its parent goes to wait: the second comes when the first has not committed yet."""
    parent, [child] = given_family(services, 1)
    ended = ended_child(child) if knows_its_parent else end(child, State.SUCCEEDED)
    both = [ended, end(parent, State.WAITING, waiting_for=WaitFor.children())]
    one, other = both if first == "child" else reversed(both)
    second = threading.Thread(target=report, args=(services, other))
    with services.database.transaction() as tx:
        finish_jobs(tx, [one])
        second.start()
        until(lambda: not second.is_alive() or waits_for_locks(services))
    second.join()
    return parent.id


def test_two_children_that_end_at_once_wake_their_parent(services: Services) -> None:
    parent, [one, other] = given_family(services, 2)
    go_to_wait(services, parent, WaitFor.children())
    second = threading.Thread(target=report, args=(services, ended_child(other)))
    with services.database.transaction() as tx:
        finish_jobs(tx, [ended_child(one)])
        second.start()
        until(lambda: waits_for_locks(services))
    second.join()
    assert state_of(services, parent.id) is State.QUEUED


def test_a_cancelled_child_and_a_claim_of_both_do_not_block_each_other(services: Services) -> None:
    """The owner's cancel holds the child; a claim takes parent and child in order of id."""
    parent_id = given_job(services)
    child_id = given_job(services, parent_id=parent_id)
    claiming = threading.Thread(target=_claim_both, args=(services, parent_id, child_id))
    with services.database.transaction() as tx:
        waits.lock_families(tx, [child_id])
        moves.request_cancel(tx, PROJECT, child_id)
        claiming.start()
        until(lambda: waits_for_locks(services))
        finish_jobs(tx, [Outcome(child_id, None, State.CANCELLED)])
    claiming.join()
    assert state_of(services, parent_id) is State.RUNNING
    assert state_of(services, child_id) is State.CANCELLED


def _claim_both(services: Services, *job_ids: UUID) -> None:
    with services.database.transaction() as tx:
        moves.claim(tx, new_id(), job_ids)


def test_a_child_that_nobody_runs_wakes_its_parent_by_its_end(services: Services) -> None:
    parent = claim_one(services, given_job(services))
    late, unwanted = (
        given_job(services, parent_id=parent.id, deadline_s=0.001),
        given_job(services, parent_id=parent.id),
    )
    go_to_wait(services, parent, WaitFor.children())
    assert fail_overdue(services) == 1
    assert state_of(services, parent.id) is State.WAITING
    cancel(services, OWNER, unwanted)
    assert state_of(services, parent.id) is State.QUEUED
    assert state_of(services, late) is State.FAILED


def test_a_child_that_dies_with_its_worker_wakes_its_parent(services: Services) -> None:
    parent, [child] = given_family(services, 1)
    go_to_wait(services, parent, WaitFor.children())
    report(services, end(child, State.FAILED, error=BROKE, worker_died=True))
    assert state_of(services, parent.id) is State.QUEUED


def test_a_waiting_job_is_cancelled_at_once(services: Services) -> None:
    job_id = given_waiting(services, WHOLE_HOUR)
    assert cancel(services, OWNER, job_id).state is State.CANCELLED


def test_a_job_that_was_cancelled_while_it_ran_does_not_wait(services: Services) -> None:
    job = claim_one(services, given_job(services))
    with services.database.transaction() as tx:
        moves.request_cancel(tx, PROJECT, job.id)
    assert go_to_wait(services, job, WHOLE_HOUR) is State.CANCELLED
    assert view(services, job.id).attempt == 1


def test_a_waiting_job_past_its_deadline_fails(services: Services) -> None:
    job_id = given_waiting(services, WHOLE_HOUR, deadline_s=60.0)
    assert fail_overdue(services) == 0
    tell(services, "UPDATE jobs SET deadline_at = now()")
    assert fail_overdue(services) == 1
    error = view(services, job_id).error
    assert error is not None
    assert error["message"] == "the job's deadline passed while it waited"


@pytest.mark.parametrize("reason", [WaitType.APPROVAL, WaitType.BUDGET, WaitType.OUTCOME])
def test_what_others_bring_wakes_the_jobs_that_wait_for_it(
    services: Services, reason: WaitType
) -> None:
    wanted, other = given_waiting(services, WaitFor(reason)), given_waiting(services, WHOLE_HOUR)
    with services.database.transaction() as tx:
        assert waits.wake(tx, [wanted, other, new_id()], reason) == {wanted}
        assert waits.wake(tx, [wanted], reason) == frozenset()
    assert (state_of(services, wanted), state_of(services, other)) == (State.QUEUED, State.WAITING)


def test_a_parent_whose_child_an_older_program_ended_is_found(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "PAGE", 1)
    families = [given_family(services, 1) for _ in range(3)]
    for parent, _ in families:
        go_to_wait(services, parent, WaitFor.children())
    search = StrandedParents(services)
    assert search.tick() == 0
    finish(services, *(end(child, State.SUCCEEDED) for _, [child] in families[1:]))
    assert [search.tick() for _ in range(4)] == [1, 1, 0, 0]
    assert state_of(services, families[0][0].id) is State.WAITING


def test_a_repeated_report_of_a_wait_is_known_as_made(services: Services) -> None:
    job = claim_one(services, given_job(services))
    assert go_to_wait(services, job, WaitFor.time(0.0)) is State.WAITING
    wake_due(services)
    assert go_to_wait(services, job, WaitFor.time(0.0)) is State.QUEUED
