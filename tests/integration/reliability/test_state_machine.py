"""Random lives of jobs over a real Postgres, held against a model of what may become of them."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from factory.pipeline import rescue
from factory.services import Services
from factory.store import hints, journal, leases, moves
from tests.integration.reliability.machine import JobsMachine

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
LEASE_S = 4.0
"""Short, for the reaper's seconds cost most of the time. Longer than the silence after which it holds."""


@pytest.fixture
def hasty(services: Services) -> Services:
    settings = services.settings.model_copy(update={"lease_s": LEASE_S})
    return replace(services, settings=settings)


def test_whatever_happens_jobs_obey_their_rules(hasty: Services) -> None:
    run_state_machine_as_test(lambda: JobsMachine(hasty), settings=LIVES)


GUARDS = {
    "a stale lease may finish": (moves, "FINISH", " AND j.lease_token = g.lease_token)", ")"),
    "a stale lease may call": (journal, "OPEN", " AND j.lease_token = g.lease_token", ""),
    "jobs are claimed before their time": (moves, "CLAIM", " AND run_at <= now()", ""),
    "a killer is claimed among others": (
        moves,
        "CLAIM",
        "deaths < %(quarantine_deaths)s OR",
        "true OR",
    ),
    "finished steps are forgotten": (
        moves,
        "CLAIM",
        "AND c.again) AS steps",
        "AND false) AS steps",
    ),
    "lost hints stay lost": (hints, "LOST", "WHERE state = 'queued'", "WHERE false"),
    "a heartbeat does not count": (leases, "EXPIRED", "w.heartbeat_at <", "now() >"),
    "a retry keeps its result": (moves, "RETRY", "WHERE r.job_id = m.id", "WHERE false"),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_that_is_taken_away_is_missed(
    hasty: Services, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    """Otherwise the lives above would prove nothing."""
    module, name, whole, weak = GUARDS[guard]
    _weaken(monkeypatch, module, name, whole, weak)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(lambda: JobsMachine(hasty), settings=UNTIL_ONE_FAILS)


def test_a_reaper_that_does_not_hold_is_caught(
    hasty: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue, "LONGEST_SILENCE_S", float("inf"))
    with pytest.raises(AssertionError):
        run_state_machine_as_test(lambda: JobsMachine(hasty), settings=UNTIL_ONE_FAILS)


def _weaken(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, whole: str, weak: str
) -> None:
    statement = getattr(module, name)
    assert whole in statement
    monkeypatch.setattr(module, name, statement.replace(whole, weak))
