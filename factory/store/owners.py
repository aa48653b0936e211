"""Fills in `project_id` in rows of programs that did not know it, until a later release demands the column.

A table is read by ranges of its pages, so no index is needed, and whoever fills it may stop and begin anew at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from factory.store.database import Tx, rows, run

OF_LIVE = "SELECT j.project_id FROM jobs j WHERE j.id = r.job_id"
OF_ARCHIVED = """
SELECT a.project_id FROM jobs_archive a WHERE a.id = r.job_id AND a.finished_at = r.finished_at"""
OWNERS = {
    "job_requests": OF_LIVE,
    "job_outcomes": OF_LIVE,
    "job_steps": OF_LIVE,
    "job_contents": OF_ARCHIVED,
}
"""The tables, and whose a row `r` of each is."""

# None once the column is NOT NULL.
PIECES = """
SELECT c.oid::regclass::text AS name,
       pg_relation_size(c.oid) / current_setting('block_size')::bigint AS pages
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'project_id' AND NOT a.attnotnull
 WHERE c.relkind = 'r'
   AND (c.oid = to_regclass(%(table)s)
        OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(%(table)s)))
 ORDER BY 1
"""
# A row that is locked is about to move or to go: it is left to the next time. So is one that changes meanwhile.
FILL = """
WITH found AS MATERIALIZED (
    SELECT r.ctid AS at, ({owner}) AS project_id FROM {piece} r
     WHERE r.ctid >= CAST(%(first)s AS tid) AND r.ctid < CAST(%(last)s AS tid)
       AND r.project_id IS NULL
       FOR UPDATE OF r SKIP LOCKED
)
UPDATE {piece} t SET project_id = f.project_id FROM found f
 WHERE t.ctid = f.at AND f.project_id IS NOT NULL
   AND t.ctid >= CAST(%(first)s AS tid) AND t.ctid < CAST(%(last)s AS tid)
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """A table or a partition, and how long it is."""

    name: str
    owner: str
    pages: int


def pieces(tx: Tx) -> Sequence[Piece]:
    """What may hold rows that lack their owner."""
    return [
        Piece(row.name, owner, row.pages)
        for table, owner in OWNERS.items()
        for row in rows(tx, PIECES, {"table": table})
    ]


def fill(tx: Tx, piece: Piece, first: int, pages: int) -> int:
    """Fills in the rows of so many pages; gives how many there were."""
    statement = FILL.format(piece=piece.name, owner=piece.owner)
    return run(tx, statement, {"first": f"({first},0)", "last": f"({first + pages},0)"})
