"""How many lives the state machine leads, and how long they are."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

LIVES = settings(
    max_examples=25,
    stateful_step_count=50,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
"""The same lives in every run."""
UNTIL_ONE_FAILS = settings(
    LIVES, max_examples=100, phases=[Phase.generate], report_multiple_bugs=False
)
