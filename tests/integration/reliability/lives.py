"""How many lives the state machine leads, and how long they are."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

LIVES = settings(
    max_examples=25,
    stateful_step_count=80,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
"""The same lives in every run. A failing one is not shortened: that takes minutes; add Phase.shrink for it."""
