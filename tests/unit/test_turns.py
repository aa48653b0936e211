"""Whose turn it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from factory.domain.lanes import Priority, all_lanes
from factory.domain.turns import Turns
from workers.intake import Intake

LANES = [f"openai.{priority}" for priority in Priority]


def _served(lanes: Sequence[str], rounds: int, jobs: int = 1) -> Counter[str]:
    """Jobs by lane, while all of them wait."""
    turns, served = Turns(), Counter[str]()
    for _ in range(rounds):
        lane = min(lanes, key=turns.ahead)
        turns.served(lane, jobs)
        served[lane] += jobs
    return served


def test_lanes_that_all_wait_are_served_by_their_weights() -> None:
    assert _served(LANES, 150) == dict(zip(LANES, (80, 40, 20, 10), strict=True))


def test_weights_count_jobs_and_not_messages() -> None:
    turns = Turns()
    turns.served("openai.bulk", 32)
    highs = 0
    while turns.ahead("openai.high") <= turns.ahead("openai.bulk"):
        turns.served("openai.high", 1)
        highs += 1
    assert highs == 32 * 8 + 1


def test_a_lane_that_was_idle_goes_at_once_and_has_saved_up_nothing() -> None:
    turns = Turns()
    for _ in range(1000):
        turns.served("openai.bulk", 1)
    assert turns.ahead("openai.high") == 0 < turns.ahead("openai.bulk")
    for _ in range(8):
        turns.served("openai.high", 1)
    assert turns.ahead("openai.bulk") <= turns.ahead("openai.high")


def test_what_one_group_does_forgives_no_debt_of_another() -> None:
    turns = Turns()
    turns.served("gemini.bulk", 32)
    for _ in range(1000):
        turns.served("openai.high", 1)
    assert turns.ahead("gemini.bulk") == 32


def test_a_worker_asks_urgent_lanes_first_and_providers_in_turn() -> None:
    intake = Intake(10, all_lanes())
    lanes = ["openai.bulk", "anthropic.high", "openai.high", "anthropic.bulk"]
    assert intake.order(lanes) == ["anthropic.high", "openai.high", "openai.bulk", "anthropic.bulk"]


def test_a_worker_asks_a_lane_that_had_its_turn_later() -> None:
    intake = Intake(100, all_lanes())
    intake.started("openai.high", 1)
    lanes = ["openai.high", "openai.bulk", "gemini.low"]
    assert intake.order(lanes) == ["gemini.low", "openai.bulk", "openai.high"]
    intake.started("openai.bulk", 16)
    assert intake.order(lanes) == ["gemini.low", "openai.high", "openai.bulk"]
