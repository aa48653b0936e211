"""How many hints a lane may have out."""

from __future__ import annotations

import pytest

from factory.limits.window import windows

LANES = ["openai.high", "openai.normal", "openai.low", "openai.bulk"]


def test_a_free_lane_gets_its_slots_and_a_quarter_ahead() -> None:
    assert windows(["openai.high"], {"openai.high": 100}, {}) == {"openai.high": 126}


@pytest.mark.parametrize("slots", [{}, {"openai.high": 0}])
def test_a_lane_without_slots_gets_nothing(slots: dict[str, int]) -> None:
    assert windows(["openai.high"], slots, {}) == {}


def test_what_is_in_flight_fills_the_window() -> None:
    lane, slots = ["openai.high"], {"openai.high": 100}
    assert windows(lane, slots, {"openai.high": 100}) == {"openai.high": 26}
    assert windows(lane, slots, {"openai.high": 126}) == {}
    assert windows(lane, slots, {"openai.high": 500}) == {}


def test_a_lane_fills_what_more_urgent_ones_leave() -> None:
    slots = dict.fromkeys(LANES, 100)
    assert windows(LANES, slots, {"openai.high": 60})["openai.normal"] == 51


def test_a_less_urgent_lane_takes_nothing_from_a_more_urgent() -> None:
    slots = dict.fromkeys(LANES, 100)
    assert windows(LANES, slots, {"openai.bulk": 100})["openai.high"] == 126


def test_a_lane_always_has_a_small_share() -> None:
    slots = dict.fromkeys(LANES, 160)
    assert windows(LANES, slots, {"openai.high": 1000})["openai.bulk"] == 13
    assert windows(["openai.bulk"], {"openai.bulk": 1}, {"openai.high": 1})["openai.bulk"] == 2


def test_providers_do_not_share_their_windows() -> None:
    slots = {"openai.high": 10, "gemini.low": 10}
    assert windows(["gemini.low"], slots, {"openai.high": 10}) == {"gemini.low": 13}


def test_the_most_urgent_lanes_come_first() -> None:
    lanes = ["openai.bulk", "gemini.high", "openai.low", "anthropic.high"]
    found = windows(lanes, dict.fromkeys(lanes, 10), {})
    assert list(found) == ["anthropic.high", "gemini.high", "openai.low", "openai.bulk"]
