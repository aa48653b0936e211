"""The plans of dispatch are kept for a second, in which a table may grow from nothing: they fit any size."""

from __future__ import annotations

from typing import Any

import pytest

from factory.domain.job import new_id
from factory.services import Services
from factory.store import hints
from factory.store.database import rows
from factory.store.prepared import prepared_form
from tests.integration.store.plans import explained, reads, rows_read
from tests.integration.store.samples import publish, tell

LANE = "openai.normal"
WINDOW = 50
SENT = 400
BACKLOG = 200_000
SURGE = """
INSERT INTO jobs (id, project_id, kind, state, lane, provider, priority, max_attempts)
SELECT gen_random_uuid(), CAST(lpad(to_hex(mod(n, %(projects)s)), 32, '0') AS uuid), 'completion', 'queued',
       %(lane)s, 'openai', 'normal', 5
  FROM generate_series(1, %(jobs)s) n
"""
STATEMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "publish": (hints.PUBLISH, hints.publish_params(LANE, WINDOW)),
    "look": (hints.LOOK, {"lease_s": 15.0}),
}


@pytest.mark.parametrize("projects", [1, 1000])
def test_a_plan_made_for_empty_tables_reads_a_window_of_a_backlog(
    services: Services, projects: int
) -> None:
    """Nobody has told the planner of the backlog either: the second reading is planned anew."""
    with services.database.engine.connect() as tx:
        for name, (statement, params) in STATEMENTS.items():
            form = prepared_form(name, statement)
            rows(tx, form.prepare + form.execute, params)
        tx.rollback()
        tell(services, SURGE, projects=projects, jobs=BACKLOG, lane=LANE)
        assert len(publish(services, LANE, SENT)) == SENT
        for name, (statement, params) in STATEMENTS.items():
            form = prepared_form(name, statement)
            assert _read(explained(tx, form.execute, params)) < 4 * SENT + 4 * projects + WINDOW
            tx.rollback()
            rows(tx, f"DEALLOCATE {form.name};{form.prepare}SELECT")
            assert _read(explained(tx, form.execute, params)) < 4 * SENT + 4 * projects + WINDOW
            tx.rollback()


def _read(plan: dict[str, Any]) -> float:
    return reads(plan, "jobs", "hints")


def test_what_is_out_of_many_lanes_is_read_once_a_look(services: Services) -> None:
    """Where all that is queued is out, a look reads all of it, which is as small as the windows."""
    tell(services, SURGE, projects=10, jobs=SENT, lane=LANE)
    assert len(publish(services, LANE, SENT)) == SENT
    tell(services, SURGE, projects=1, jobs=1, lane=f"{new_id().hex}.normal")
    with services.database.engine.connect() as tx:
        statement, params = STATEMENTS["look"]
        form = prepared_form("look", statement)
        rows(tx, f"DEALLOCATE ALL;{form.prepare}SELECT")
        assert _read(explained(tx, form.execute, params)) < 4 * SENT
        tx.rollback()


FAILED = """
INSERT INTO jobs (id, project_id, kind, state, lane, provider, priority, max_attempts, attempt, finished_at)
SELECT CAST(lpad(to_hex(n), 32, '0') AS uuid), CAST(lpad('0', 32, '0') AS uuid), 'completion', 'failed', %(lane)s,
       'openai', 'normal', 5, 5, now()
  FROM generate_series(1, 2000) n
"""


@pytest.mark.parametrize("end", ["", " "], ids=["prepared", "behind a pooler"])
def test_a_round_of_publishing_reads_nothing_that_has_ended(services: Services, end: str) -> None:
    """A project whose jobs fail keeps them among the live ones for an hour, before the many that are due."""
    tell(services, FAILED, lane=LANE)
    tell(services, SURGE, projects=1, jobs=20_000, lane=LANE)
    tell(services, "ANALYZE jobs")
    statement, params = STATEMENTS["publish"]
    assert rows_read(services, statement + end, params, "jobs") < 1000
