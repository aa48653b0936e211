"""How long work that fails pauses before the next round."""

from __future__ import annotations

import logging

import pytest

from factory.pipeline.upkeep.periodic import PeriodicTask


def test_patience_grows_with_each_failure_and_is_short_again_after_a_success(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    failures = [True] * 5 + [False, True]

    def work() -> float:
        if failures.pop(0):
            raise KeyError
        return 7.0

    task = PeriodicTask("work", work, longest_pause_s=3.0)
    assert [task.run() for _ in range(7)] == [0.5, 1.0, 2.0, 3.0, 3.0, 7.0, 0.5]
