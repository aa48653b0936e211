"""Counters added up before they are written."""

from __future__ import annotations

import threading

import pytest

from factory.metrics import DURATION_BUCKETS_S, Delta, Tally, add_up, bucket_of, delta


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


def test_a_tally_gives_each_amount_once_whoever_adds() -> None:
    tally = Tally()
    threads = [
        threading.Thread(target=lambda: [tally.add(delta("jobs")) for _ in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    taken = sum(one.amount for _ in range(20) for one in tally.take())
    for thread in threads:
        thread.join()
    taken += sum(one.amount for one in tally.take())
    assert taken == 2000
    assert tally.take() == []
