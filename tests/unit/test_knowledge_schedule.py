"""Whose texts are worked on next."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.domain.lanes import Priority
from factory.knowledge.schedule import IDLE_PROJECTS, QUERIES_IN_A_ROW, Owner, Schedule, Work

ONE, TWO, THREE = UUID(int=1), UUID(int=2), UUID(int=3)


def work(
    project: UUID, priority: Priority = Priority.BULK, items: int = 100, **owner: bool
) -> Work[str]:
    return Work(Owner(project, priority, **owner), ["text"] * items, [4] * items)


def query(project: UUID) -> Work[str]:
    return work(project, Priority.HIGH, 1, is_query=True)


def schedule_of(*works: Work[str], most_items: int = 2, most_size: int = 1000) -> Schedule[str]:
    schedule: Schedule[str] = Schedule(most_items, most_size)
    for one in works:
        schedule.add(one)
    return schedule


def served(schedule: Schedule[str], pieces: int) -> list[Work[str]]:
    """Whose the next pieces are."""
    found = [schedule.next() for _ in range(pieces)]
    return [piece[0] for piece in found if piece]


def test_projects_take_turns_however_many_jobs_one_has() -> None:
    many, other = [work(ONE) for _ in range(6)], work(TWO)
    order = served(schedule_of(*many, other), 20)
    assert order.count(other) == 10


def test_the_jobs_of_a_project_take_turns() -> None:
    first, second = work(ONE), work(ONE)
    order = served(schedule_of(first, second), 10)
    assert order == [first, second] * 5


@pytest.mark.parametrize("asking", [ONE, TWO, THREE])
@pytest.mark.parametrize("pieces", range(1, 6))
def test_a_query_goes_before_everything(asking: UUID, pieces: int) -> None:
    """Whatever its project has had already."""
    schedule = schedule_of(work(ONE, Priority.HIGH), work(TWO, Priority.BULK))
    served(schedule, pieces)
    asked = query(asking)
    schedule.add(asked)
    assert served(schedule, 1) == [asked]


def test_queries_without_end_leave_a_piece_in_nine_to_the_others() -> None:
    schedule = schedule_of(work(TWO))
    order = []
    for _ in range(90):
        schedule.add(query(ONE))
        order += served(schedule, 1)
    assert Counter(one.owner.is_query for one in order) == {True: 80, False: 10}
    assert QUERIES_IN_A_ROW == 8


def test_a_project_with_urgent_work_gets_more_of_the_time() -> None:
    urgent, patient = work(ONE, Priority.HIGH), work(TWO, Priority.BULK)
    order = served(schedule_of(urgent, patient, most_items=1), 90)
    assert order.count(urgent) == 80


def test_within_a_project_what_is_urgent_goes_first() -> None:
    bulk, high = work(ONE, Priority.BULK), work(ONE, Priority.HIGH, items=4)
    assert served(schedule_of(bulk, high), 3) == [high, high, bulk]


def test_who_comes_back_has_no_claim_to_the_time_before() -> None:
    schedule = schedule_of(work(ONE))
    served(schedule, 20)
    late = work(TWO)
    schedule.add(late)
    assert served(schedule, 20).count(late) == 10


def test_who_pauses_for_a_moment_is_not_served_more_often_for_it() -> None:
    high = work(ONE, Priority.HIGH, items=1000)
    schedule = schedule_of(high, most_items=1)
    order = []
    for _ in range(900):
        if not any(one.owner.project_id == TWO for one in order[-1:]):
            schedule.add(work(TWO, items=1))
        order += served(schedule, 1)
    assert order.count(high) >= 790


def test_what_is_discarded_is_handed_out_no_more() -> None:
    dropped, kept = work(ONE), work(TWO)
    schedule = schedule_of(dropped, kept)
    served(schedule, 2)
    schedule.discard(dropped)
    schedule.discard(dropped)
    assert served(schedule, 5) == [kept] * 5


def test_a_piece_is_bounded_by_items_and_by_size() -> None:
    sized = Work(Owner(ONE, Priority.LOW), ["a", "b", "c", "d", "e"], [3, 3, 90, 1, 1])
    schedule = schedule_of(sized, most_items=3, most_size=10)
    pieces = []
    while piece := schedule.next():
        pieces.append(list(piece[1]))
    assert pieces == [["a", "b"], ["c"], ["d", "e"]]


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.sampled_from(Priority), st.integers(1, 9), st.booleans()),
        max_size=9,
    )
)
def test_everything_is_handed_out_once_and_in_order(
    jobs: list[tuple[int, Priority, int, bool]],
) -> None:
    works = [
        Work(Owner(UUID(int=project), priority, is_query=is_query), list(range(items)), [1] * items)
        for project, priority, items, is_query in jobs
    ]
    schedule: Schedule[int] = Schedule(4, 100)
    for one in works:
        schedule.add(one)
    given_out: dict[int, list[int]] = {id(one): [] for one in works}
    while piece := schedule.next():
        given_out[id(piece[0])] += piece[1]
    assert all(given_out[id(one)] == one.items for one in works)


def test_projects_that_owe_nothing_are_forgotten() -> None:
    schedule = schedule_of(work(ONE, items=100_000))
    for number in range(2, 3 * IDLE_PROJECTS):
        schedule.add(work(UUID(int=number), items=1))
        served(schedule, 2)
    assert len(schedule._projects) <= IDLE_PROJECTS + 2


@pytest.mark.parametrize("is_query", [True, False])
def test_nobody_waits_in_an_empty_schedule(is_query: bool) -> None:
    schedule = schedule_of(work(ONE, items=1, is_query=is_query))
    assert len(served(schedule, 3)) == 1
