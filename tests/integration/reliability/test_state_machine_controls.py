"""The state machine misses each guard that is taken away; otherwise its lives would prove nothing."""

from __future__ import annotations

from types import ModuleType

import pytest

from factory.pipeline.upkeep import reaper
from factory.services import Services
from factory.store import (
    archive,
    finished,
    hints,
    journal,
    leases,
    lost_hints,
    moves,
    successes,
)
from tests.integration.reliability import directed
from tests.integration.reliability.directed import Life
from tests.integration.store.samples import tell

GUARDS = {
    "a stale lease may finish": (
        directed.late_end,
        moves,
        "FINISH",
        " AND j.lease_token = g.lease_token)",
        ")",
    ),
    "a stale lease may call": (
        directed.late_call,
        journal,
        "OPEN",
        " AND j.lease_token = g.lease_token",
        "",
    ),
    "jobs are claimed before their time": (
        directed.hasty_claim,
        moves,
        "CLAIM",
        " AND run_at <= now()",
        "",
    ),
    "a quarantined job is claimed among others": (
        directed.poison,
        moves,
        "CLAIM",
        "deaths < %(quarantine_deaths)s OR",
        "true OR",
    ),
    "finished steps are forgotten": (
        directed.known_step,
        moves,
        "CLAIM",
        "AND c.again) AS steps",
        "AND false) AS steps",
    ),
    "lost hints stay lost": (
        directed.lost_hint,
        lost_hints,
        "LOST",
        "LIMIT 1000",
        "LIMIT 0",
    ),
    "a heartbeat does not count": (
        directed.living_peer,
        leases,
        "EXPIRED",
        "w.heartbeat_at <",
        "now() >",
    ),
    "a deadline passes unnoticed": (
        directed.overdue,
        moves,
        "OVERDUE",
        "deadline_at <= now()",
        "false",
    ),
    "a job is archived while its call may still end": (
        directed.open_call,
        archive,
        "MOVE",
        "OR NOT EXISTS",
        "OR EXISTS",
    ),
    "an archived job keeps its place": (
        directed.archived,
        archive,
        "MOVE",
        "DELETE FROM jobs j USING old o WHERE j.id = o.id RETURNING j.*",
        "SELECT j.* FROM jobs j JOIN old o ON j.id = o.id",
    ),
    "a stale lease may finish straight into the archive": (
        directed.late_success,
        successes,
        "FINISH",
        " AND j.lease_token = g.lease_token",
        "",
    ),
    "a job goes straight into the archive while its call may still end": (
        directed.open_call,
        successes,
        "FINISH",
        "WHERE u.left_open = 0",
        "WHERE true",
    ),
    "a job that goes straight into the archive keeps its place": (
        directed.straight,
        successes,
        "FINISH",
        "DELETE FROM jobs j USING chosen s WHERE",
        "UPDATE jobs j SET state = 'succeeded', lease_token = NULL FROM chosen s WHERE",
    ),
    "an end in the archive is forgotten": (
        directed.straight,
        finished,
        "FINISHED_BEFORE",
        "a.last_lease_token = g.lease_token",
        "false",
    ),
    "a retry loses the archived steps": (
        directed.archived_step,
        archive,
        "RESTORE",
        "jsonb_each(c.steps)",
        "jsonb_each('{}')",
    ),
    "a lane is overlooked": (
        directed.two_lanes,
        hints,
        "LOOK",
        "ORDER BY lane LIMIT 1",
        "ORDER BY lane DESC LIMIT 1",
    ),
    "a retry keeps its result": (
        directed.retried,
        moves,
        "RETRY",
        "WHERE r.job_id = m.id",
        "WHERE false",
    ),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_that_is_taken_away_is_missed(
    hasty: Services, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    life, *weakness = GUARDS[guard]
    _weaken(monkeypatch, *weakness)
    with pytest.raises(AssertionError):
        Life(hasty).lead(life)


def test_a_reaper_that_does_not_hold_is_caught(
    hasty: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaper, "LONGEST_SILENCE_S", float("inf"))
    with pytest.raises(AssertionError, match="a live worker's job was taken"):
        Life(hasty).lead(directed.pause_of_all)


def test_without_the_trigger_a_call_is_missed(hasty: Services) -> None:
    life = Life(hasty)
    tell(hasty, "ALTER TABLE jobs DISABLE TRIGGER journal_intent")
    with pytest.raises(AssertionError):
        life.lead(directed.late_end)


LIVES = dict.fromkeys((*(life for life, *_ in GUARDS.values()), directed.pause_of_all))


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.__name__)
def test_with_its_guard_each_life_is_well(hasty: Services, life: directed.Directed) -> None:
    """Otherwise it would prove nothing."""
    Life(hasty).lead(life)


def _weaken(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, whole: str, weak: str
) -> None:
    statement = getattr(module, name)
    assert whole in statement
    monkeypatch.setattr(module, name, statement.replace(whole, weak))
