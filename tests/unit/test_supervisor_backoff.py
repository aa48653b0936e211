from __future__ import annotations

import itertools

from factory.embedded.program import STABLE_S, Backoff, Program


def test_the_delay_doubles_from_one_second_to_eight() -> None:
    delays = itertools.accumulate(
        range(6), lambda backoff, _: backoff.after(0.1), initial=Backoff()
    )
    assert [backoff.delay_s for backoff in delays][1:] == [1, 2, 4, 8, 8, 8]


def test_a_stable_run_starts_the_delays_anew() -> None:
    assert Backoff(8.0).after(STABLE_S) == Backoff(1.0)
    assert Backoff(2.0).after(STABLE_S - 1) == Backoff(4.0)


def test_replicas_share_a_kind() -> None:
    assert {Program(name, ()).kind for name in ("worker.1", "worker.2", "worker")} == {"worker"}
