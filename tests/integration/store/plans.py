"""The plans of statements, made as the platform has them made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from factory.services import Services
from factory.store import hints, intents, jobs, journal, moves, successes
from factory.store.database import rows
from factory.store.prepared import prepared_form

PREPARED = {
    moves.CLAIM: "claim",
    moves.FINISH: "finish",
    successes.FINISH: "finish_archived",
    journal.OPEN: "open",
    journal.CLOSE: "close",
    intents.TO_JOURNAL: "move_intents",
    hints.LOOK: "look",
    jobs.GET: "get",
    jobs.GET_ARCHIVED: "get_archived",
    jobs.ENDED: "ended",
}
"""Planned without knowing their parameters."""


def rows_read(services: Services, statement: str, params: dict[str, Any], *tables: str) -> float:
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in nodes(plan(services, statement, params, "ANALYZE, "))
        if node.get("Relation Name") in tables and "Scan" in node["Node Type"]
    )


def plan(
    services: Services, statement: str, params: dict[str, Any], options: str = ""
) -> dict[str, Any]:
    """The plan; with ANALYZE the statement runs, and is rolled back."""
    explain = f"EXPLAIN ({options}FORMAT JSON) "
    if name := PREPARED.get(statement):
        form = prepared_form(name, statement)
        explain = "DEALLOCATE ALL;" + form.prepare + explain
        statement = form.execute
    with services.database.engine.connect() as tx:
        [row] = rows(tx, explain + statement, params)
        tx.rollback()
    found = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    root: dict[str, Any] = found[0]["Plan"]
    return root


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)
