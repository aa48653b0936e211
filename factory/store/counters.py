"""Counters as rows that are only inserted, so that no two workers wait for the same row."""

from __future__ import annotations

from collections.abc import Sequence

from factory.metrics import Delta
from factory.store.database import Tx, as_json, rows, run

ADD = """
INSERT INTO counters (metric, labels, amount)
SELECT metric, labels, amount
  FROM json_to_recordset(CAST(%(deltas)s AS json)) AS g(metric text, labels jsonb, amount float8)
"""


def add(tx: Tx, deltas: Sequence[Delta]) -> None:
    """Adds amounts; they count once the transaction commits."""
    if deltas:
        given = [
            {"metric": one.metric, "labels": dict(one.labels), "amount": one.amount}
            for one in deltas
        ]
        run(tx, ADD, {"deltas": as_json(given)})


TOTALS = "SELECT metric, labels, sum(amount) AS amount FROM counters GROUP BY metric, labels"


def totals(tx: Tx) -> list[Delta]:
    """Every counter's value."""
    return [
        Delta(row.metric, tuple(sorted(row.labels.items())), row.amount) for row in rows(tx, TOTALS)
    ]


# One statement: a reader sees either the rows or their sums.
COMPACT = """
WITH taken AS (
    DELETE FROM counters WHERE id IN (
        SELECT id FROM counters ORDER BY id LIMIT 20000 FOR UPDATE SKIP LOCKED)
    RETURNING metric, labels, amount
)
INSERT INTO counters (metric, labels, amount)
SELECT metric, labels, sum(amount) FROM taken GROUP BY metric, labels
"""
COMPACT_ABOVE = "SELECT count(*) > 2000 AS many FROM (SELECT 1 FROM counters LIMIT 2001) c"


def compact(tx: Tx) -> None:
    """Sums the rows of each counter into one, once there are more than 2,000 in all."""
    if rows(tx, COMPACT_ABOVE)[0].many:
        run(tx, COMPACT)
