"""The goals of the benchmarks: ratios that hold on a slower machine and beside other work."""

from __future__ import annotations

import importlib

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.figures import Figure, at_least_times, at_most, at_most_times
from benchmarks.floor import GOALS_CALL_MS, Floor, at_least_per_s, at_most_ms
from benchmarks.gateway import USUAL_PER_S, beside_usual


def test_a_goal_in_milliseconds_is_met_by_as_many_bare_calls_on_a_slower_machine() -> None:
    goal, slow = at_most_ms(0.35), 2 * GOALS_CALL_MS

    assert Figure("cpu", 0.35, "ms", goal, GOALS_CALL_MS).passed
    assert Figure("cpu", 0.70, "ms", goal, slow).passed
    assert not Figure("cpu", 0.36, "ms", goal, GOALS_CALL_MS).passed
    assert not Figure("cpu", 0.72, "ms", goal, slow).passed


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_a_goal_in_jobs_a_second_counts_the_share_of_the_core_that_there_is(share: float) -> None:
    floor = Floor(GOALS_CALL_MS, share)

    assert Figure("rate", 901 * share, "jobs/s", at_least_per_s(900), floor.calls_per_s).passed
    assert not Figure("rate", 890 * share, "jobs/s", at_least_per_s(900), floor.calls_per_s).passed


def test_reads_are_judged_by_the_usual_views_rate_of_the_same_run() -> None:
    found = beside_usual(Figure("gateway_get", 1300, "req/s"), 2500, USUAL_PER_S / 2)

    assert found.passed
    assert found.goal is not None
    assert found.goal.text() == ">=2.08x"
    assert not beside_usual(Figure("gateway_get", 1300, "req/s"), 2500, USUAL_PER_S).passed


def test_a_goal_of_a_ratio_without_a_peer_is_missed() -> None:
    assert not Figure("rate", 10, "jobs/s", at_least_times(0.1)).passed


def test_goals_print_their_direction_and_what_they_bound() -> None:
    goals = (at_most(300), at_most_times(1.2), at_least_times(0.9))

    assert [goal.text() for goal in goals] == ["<=300", "<=1.2x", ">=0.9x"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_finds_the_names_of_the_platform_that_it_uses(name: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{name}").figures)
