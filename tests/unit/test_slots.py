"""How a worker's slots are shared."""

from __future__ import annotations

import pytest

from factory.domain.lanes import MESSAGE_JOBS, PROVIDERS, Priority, all_lanes
from factory.domain.slots import capacity, few, kept_free, lendable, reserve
from workers.intake import FEW, Intake

SIZES = [1, 2, 3, 4, 5, 8, 10, 13, 20, 40, 100, 300, 500, 2000]


@pytest.mark.parametrize("slots", SIZES)
def test_a_group_and_even_one_project_in_it_fills_all_slots_when_it_is_alone(slots: int) -> None:
    assert capacity(slots) - kept_free(capacity(slots)) >= slots


@pytest.mark.parametrize("slots", SIZES)
def test_a_group_beside_one_that_hangs_has_half_of_the_slots(slots: int) -> None:
    intake = Intake(slots, all_lanes())
    intake.started("openai.high", capacity(slots))
    assert intake.room("openai.high") == 0
    assert intake.room("anthropic.high") >= max(2, slots / 2)
    assert reserve(slots) + slots - lendable(slots) >= slots / 2


@pytest.mark.parametrize("slots", SIZES)
def test_a_group_beside_all_others_that_hang_has_its_reserve(slots: int) -> None:
    intake = Intake(slots, all_lanes())
    for group in PROVIDERS[:-1]:
        intake.started(f"{group}.high", intake.room(f"{group}.high"))
    assert intake.room("other.high") == reserve(slots)
    intake.started("other.high", reserve(slots))
    assert intake.order(all_lanes()) == []
    assert intake.total == slots + len(PROVIDERS) * reserve(slots)


@pytest.mark.parametrize("slots", [1, 10, 100, 1000])
def test_messages_of_a_normal_lane_are_taken_for_as_large_as_the_last(slots: int) -> None:
    intake = Intake(slots, ["openai.normal"])
    whole = capacity(slots) // MESSAGE_JOBS[Priority.NORMAL]
    assert intake.room("openai.normal") == whole
    intake.started("openai.normal", 1)
    intake.ended("openai.normal", 1)
    assert intake.room("openai.normal") == max(whole, min(FEW, capacity(slots)))
    intake.started("openai.normal", 12)
    intake.ended("openai.normal", 12)
    assert intake.room("openai.normal") == max(whole, min(FEW, capacity(slots) // 12))


def test_what_has_ended_is_free_for_the_group_and_for_others() -> None:
    intake = Intake(10, ["openai.high", "gemini.high", "local.high"])
    intake.started("openai.high", capacity(10))
    intake.started("gemini.high", intake.room("gemini.high"))
    assert intake.room("openai.high") == intake.room("gemini.high") == 0
    intake.ended("openai.high", 1)
    assert intake.room("openai.high") == intake.room("gemini.high") == 1


def test_a_message_beyond_its_groups_room_is_a_debt_of_its_group_alone() -> None:
    intake = Intake(4, ["openai.bulk", "gemini.high"])
    intake.started("openai.bulk", capacity(4) - 1)
    assert "openai.bulk" in intake.order(["openai.bulk", "gemini.high"])
    intake.started("openai.bulk", 32)
    assert intake.room("gemini.high") == reserve(4)
    intake.ended("openai.bulk", 31)
    assert intake.order(["openai.bulk", "gemini.high"]) == ["gemini.high"]
    intake.ended("openai.bulk", 1)
    assert intake.reopened() == ["openai.bulk"]


def test_lanes_that_are_left_out_are_asked_again_when_they_have_room() -> None:
    lanes = ["openai.high", "openai.bulk", "gemini.high"]
    intake = Intake(4, lanes)
    intake.started("openai.high", capacity(4))
    assert intake.order(lanes) == ["gemini.high"]
    assert (intake.waiting, intake.reopened()) == (True, [])
    intake.ended("openai.high", 1)
    assert intake.reopened() == ["openai.bulk", "openai.high"]
    assert set(intake.order(lanes)) == set(lanes)
    assert not intake.waiting


def test_a_queue_that_is_no_lane_is_asked_first_and_takes_no_groups_slots() -> None:
    intake = Intake(2, ["openai.high"])
    assert intake.order(["openai.high", "celery.pidbox"]) == ["celery.pidbox", "openai.high"]
    assert intake.room("celery.pidbox") == 0
    intake.started("", 1)
    intake.ended("", 1)
    assert intake.room("openai.high") == capacity(2)


def test_few_is_a_twentieth_and_never_nothing() -> None:
    assert [few(n) for n in (1, 20, 45, 566)] == [1, 1, 2, 28]
    assert [kept_free(n) for n in (2, 20, 45, 566)] == [1, 2, 4, 56]
