"""The state machine misses each guard that is taken away; otherwise its lives would prove nothing."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from factory.pipeline import rescue
from factory.services import Services
from factory.store import archive, hints, journal, leases, moves
from tests.integration.reliability.lives import MORE_LIVES
from tests.integration.reliability.machine import JobsMachine

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
    "a deadline passes unnoticed": (moves, "OVERDUE", "deadline_at <= now()", "false"),
    "a job is archived while its call may still end": (
        archive,
        "MOVE",
        "OR NOT EXISTS",
        "OR EXISTS",
    ),
    "an archived job keeps its place": (
        archive,
        "MOVE",
        "DELETE FROM jobs j USING old o WHERE j.id = o.id RETURNING j.*",
        "SELECT j.* FROM jobs j JOIN old o ON j.id = o.id",
    ),
    "a retry loses the archived steps": (
        archive,
        "RESTORE",
        "jsonb_each(c.steps)",
        "jsonb_each('{}')",
    ),
    "a lane is overlooked": (
        hints,
        "LOOK",
        "ORDER BY lane LIMIT 1",
        "ORDER BY lane DESC LIMIT 1",
    ),
    "a retry keeps its result": (moves, "RETRY", "WHERE r.job_id = m.id", "WHERE false"),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_that_is_taken_away_is_missed(
    hasty: Services, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    module, name, whole, weak = GUARDS[guard]
    _weaken(monkeypatch, module, name, whole, weak)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(lambda: JobsMachine(hasty), settings=MORE_LIVES)


def test_a_reaper_that_does_not_hold_is_caught(
    hasty: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue, "LONGEST_SILENCE_S", float("inf"))
    # It goes by the clock: a life that failed may pass when it is lived again, and hypothesis then says so.
    with pytest.raises((AssertionError, FlakyFailure)):
        run_state_machine_as_test(lambda: JobsMachine(hasty), settings=MORE_LIVES)


def _weaken(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, whole: str, weak: str
) -> None:
    statement = getattr(module, name)
    assert whole in statement
    monkeypatch.setattr(module, name, statement.replace(whole, weak))
