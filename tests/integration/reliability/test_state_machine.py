"""Random lives of jobs over a real Postgres, held against a model of what may become of them."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from factory.services import Services
from tests.integration.reliability.machine import JobsMachine

LIVES = settings(
    max_examples=25,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
"""The same lives in every run."""


def test_whatever_happens_jobs_obey_their_rules(services: Services) -> None:
    run_state_machine_as_test(lambda: JobsMachine(services), settings=LIVES)
