"""How many hints a lane may have out."""

from __future__ import annotations

import pytest

from factory.domain.lanes import MESSAGE_JOBS, Priority, lanes_of
from factory.domain.slots import capacity, kept_free
from factory.limits.window import Sizes, Window, windows

LANES = lanes_of("openai")
HUNDRED = capacity(100)


def _one(lane: str, sizes: Sizes, in_flight: dict[str, int]) -> Window:
    [found] = windows([lane], dict.fromkeys(LANES, sizes), in_flight)
    return found


def test_a_free_lane_gets_what_workers_can_hold_and_a_quarter_ahead() -> None:
    assert _one("openai.high", {100: 1}, {}).room == int(1.25 * HUNDRED) + 1
    assert _one("openai.high", {100: 2, 40: 1}, {}).room == int(
        1.25 * (2 * HUNDRED + capacity(40)) + 1
    )


@pytest.mark.parametrize("workers", [{}, {"openai.high": {}}])
def test_a_lane_without_workers_gets_nothing(workers: dict[str, Sizes]) -> None:
    assert windows(["openai.high"], workers, {}) == []


def test_what_is_in_flight_fills_the_window() -> None:
    empty = _one("openai.high", {100: 1}, {}).room
    assert _one("openai.high", {100: 1}, {"openai.high": 100}).room == empty - 100
    assert _one("openai.high", {100: 1}, {"openai.high": empty}).room == 0
    assert _one("openai.high", {100: 1}, {"openai.high": 500}).room == 0


def test_a_lane_fills_what_more_urgent_ones_leave() -> None:
    left = HUNDRED - 60
    assert _one("openai.normal", {100: 1}, {"openai.high": 60}).room == int(1.25 * left) + 1


def test_a_less_urgent_lane_takes_nothing_from_a_more_urgent() -> None:
    empty = _one("openai.high", {100: 1}, {}).room
    assert _one("openai.high", {100: 1}, {"openai.bulk": 100}).room == empty


def test_a_lane_always_has_a_small_share() -> None:
    assert _one("openai.bulk", {160: 1}, {"openai.high": 1000}).room > 0
    assert _one("openai.bulk", {1: 1}, {"openai.high": 3}).room == 2


def test_a_tenth_of_what_a_group_can_hold_is_not_for_any_project() -> None:
    assert _one("openai.high", {100: 1}, {}).free == HUNDRED - kept_free(HUNDRED) >= 100
    for lane in LANES:
        assert _one("openai.high", {100: 1}, {lane: 99}).free == HUNDRED - kept_free(HUNDRED) - 99
        assert _one("openai.high", {100: 1}, {lane: HUNDRED}).free == 0


def test_providers_do_not_share_their_windows() -> None:
    lanes = ("openai.high", "gemini.low")
    workers = {lane: {10: 1} for lane in lanes}
    beside = windows(["gemini.low"], workers, {"openai.high": 10})
    assert beside == windows(["gemini.low"], workers, {})


def test_the_most_urgent_lanes_come_first() -> None:
    lanes = ["openai.bulk", "gemini.high", "openai.low", "anthropic.high"]
    found = windows(lanes, {lane: {10: 1} for lane in lanes}, {})
    assert [one.lane for one in found] == [
        "anthropic.high",
        "gemini.high",
        "openai.low",
        "openai.bulk",
    ]


@pytest.mark.parametrize(("slots", "jobs"), [(1, 1), (40, 5), (100, 12), (256, 32), (2000, 32)])
def test_no_message_fills_a_worker(slots: int, jobs: int) -> None:
    assert _one("openai.bulk", {slots: 3, 5000: 1}, {}).message == jobs
    assert _one("openai.high", {slots: 3}, {}).message == 1


@pytest.mark.parametrize("priority", Priority)
def test_only_jobs_of_normal_lanes_go_apart_while_they_are_few(priority: Priority) -> None:
    apart = _one(f"openai.{priority}", {100: 2, 40: 1}, {}).apart
    assert apart == (6 if priority is Priority.NORMAL else 1)


@pytest.mark.parametrize("priority", Priority)
def test_hints_wait_for_company_only_while_no_slot_waits(priority: Priority) -> None:
    for slots in (1, 8, 40, 300, 2000):
        found = _one(f"openai.{priority}", {slots: 1}, {})
        assert 1 <= found.least_batch <= MESSAGE_JOBS[priority] <= 32
        assert found.free - found.least_batch >= slots - 1


@pytest.mark.parametrize(
    ("priority", "jobs"),
    [(Priority.HIGH, 1), (Priority.NORMAL, 16), (Priority.LOW, 16), (Priority.BULK, 21)],
)
def test_a_full_lane_is_refilled_by_many_and_an_urgent_one_by_job(
    priority: Priority, jobs: int
) -> None:
    lane = f"openai.{priority}"
    assert _one(lane, {1000: 1}, {}).least_batch == jobs
    full = _one(lane, {1000: 1}, {}).room
    enough = MESSAGE_JOBS[priority]
    assert _one(lane, {1000: 1}, {lane: full - enough}).room == enough
    assert _one(lane, {1000: 1}, {lane: full - enough + 1}).room == 0


@pytest.mark.parametrize("slots", [1, 4, 40, 1000])
@pytest.mark.parametrize("priority", Priority)
def test_a_lane_has_room_as_soon_as_a_slot_has_nothing_ahead(
    slots: int, priority: Priority
) -> None:
    lane = f"openai.{priority}"
    for held in range(capacity(slots) + 1):
        assert _one(lane, {slots: 1}, {lane: held}).room > 0
