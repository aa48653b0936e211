"""The plans of statements, made as the platform has them made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from factory.services import Services
from factory.store import hints, intents, jobs, journal, moves, successes
from factory.store.database import Tx, rows
from factory.store.prepared import prepared_form

PREPARED = {
    moves.CLAIM: "claim",
    moves.FINISH: "finish",
    successes.FINISH: "finish_archived",
    journal.OPEN: "open",
    journal.CLOSE: "close",
    intents.TO_JOURNAL: "move_intents",
    hints.LOOK: "look",
    hints.PUBLISH: "publish",
    jobs.GET: "get",
    jobs.GET_ARCHIVED: "get_archived",
    jobs.ENDED: "ended",
}
"""Planned without knowing their parameters."""


def rows_read(services: Services, statement: str, params: dict[str, Any], *tables: str) -> float:
    return reads(plan(services, statement, params, "ANALYZE, "), *tables)


def reads(analyzed: dict[str, Any], *tables: str) -> float:
    """The rows of those tables that a plan has read."""
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in nodes(analyzed)
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
    return _root(row[0])


def explained(tx: Tx, execute: str, params: dict[str, Any]) -> dict[str, Any]:
    """The plan of a statement that the connection has prepared; it runs."""
    [row] = rows(tx, f"EXPLAIN (ANALYZE, FORMAT JSON) {execute}", params)
    return _root(row[0])


def _root(answer: Any) -> dict[str, Any]:
    found = json.loads(answer) if isinstance(answer, str) else answer
    root: dict[str, Any] = found[0]["Plan"]
    return root


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)
