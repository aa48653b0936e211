"""Counters added up before they are written."""

from __future__ import annotations

import pytest

from factory.metrics import DURATION_BUCKETS_S, Delta, add_up, bucket_of, delta


def test_the_order_of_labels_makes_no_difference() -> None:
    assert delta("jobs", lane="a", state="b") == delta("jobs", state="b", lane="a")


def test_amounts_of_one_counter_become_one() -> None:
    deltas = [delta("jobs", lane="a"), delta("jobs", 2.5, lane="a"), delta("jobs", lane="b")]
    assert add_up(deltas) == [
        Delta("jobs", (("lane", "a"),), 3.5),
        Delta("jobs", (("lane", "b"),), 1.0),
    ]


@pytest.mark.parametrize(
    ("duration_s", "bound"),
    [(0.0, "0.1"), (0.1, "0.1"), (0.11, "0.25"), (300, "300.0"), (301, "+Inf")],
)
def test_a_duration_falls_into_the_smallest_bucket_that_holds_it(
    duration_s: float, bound: str
) -> None:
    assert bucket_of(duration_s) == bound


def test_the_buckets_reach_300_seconds() -> None:
    assert list(DURATION_BUCKETS_S) == sorted(DURATION_BUCKETS_S)
    assert DURATION_BUCKETS_S[-1] == 300.0
