"""Vacuums and reindexes our tables. Each statement needs an autocommit connection."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.exc import DBAPIError

from factory.errors import Conflict
from factory.store.database import Tx, rows, run

TURN = 7246175
"""The advisory lock of a maintenance that runs."""
LOCK_S = 300
"""How long a reindex waits for transactions that are older than itself."""

# A partitioned table takes its partitions along, and gets statistics that autovacuum never makes.
TABLES = """
SELECT c.oid::regclass::text AS name FROM pg_class c
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
   AND NOT c.relispartition AND pg_has_role(c.relowner, 'USAGE')
 ORDER BY pg_total_relation_size(c.oid), 1
"""
# A partition of the past is no longer written to, so its indexes do not grow.
INDEXED = """
SELECT c.oid::regclass::text AS name FROM pg_class c
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relhasindex
   AND pg_has_role(c.relowner, 'USAGE')
   AND coalesce((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO [(]''([^'']+)'''))[1]::timestamptz > now(), true)
 ORDER BY pg_total_relation_size(c.oid), 1
"""
# An interrupted REINDEX CONCURRENTLY leaves an index that slows down writes and is used by no query. One that is
# being built now does not count. https://www.postgresql.org/docs/current/sql-reindex.html
LEFTOVERS = """
SELECT i.indexrelid::regclass::text AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AND pg_has_role(c.relowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p
                    WHERE p.datname = current_database() AND p.relid = i.indrelid)
"""


def take_turn(tx: Tx) -> None:
    """Takes the lock that lets one maintenance run at a time, until the connection ends. Raises Conflict."""
    statement = "SELECT pg_try_advisory_lock(%(turn)s) AS taken"
    if not rows(tx, statement, {"turn": TURN})[0].taken:
        raise Conflict("another maintenance of this database runs")
    run(tx, f"SET lock_timeout = '{LOCK_S}s'")


def tables(tx: Tx) -> Sequence[str]:
    """All tables but partitions, the smallest first."""
    return [row.name for row in rows(tx, TABLES)]


def indexed_tables(tx: Tx) -> Sequence[str]:
    """Those whose indexes still change, the smallest first."""
    return [row.name for row in rows(tx, INDEXED)]


def leftovers(tx: Tx) -> Sequence[str]:
    """Indexes that an interrupted reindex has left."""
    return [row.name for row in rows(tx, LEFTOVERS)]


def vacuum(tx: Tx, table: str) -> str | None:
    """Vacuums and analyzes a table, unless autovacuum is at it; gives what went wrong."""
    return _attempt(tx, f"VACUUM (ANALYZE, SKIP_LOCKED) {table}")


def reindex(tx: Tx, table: str) -> str | None:
    """Builds the table's indexes anew while it is written to; gives what went wrong."""
    return _attempt(tx, f"REINDEX TABLE CONCURRENTLY {table}")


def drop_leftover(tx: Tx, index: str) -> str | None:
    """Gives what went wrong."""
    return _attempt(tx, f"DROP INDEX CONCURRENTLY IF EXISTS {index}")


def _attempt(tx: Tx, statement: str) -> str | None:
    try:
        run(tx, statement)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return str(error.orig).strip().partition("\n")[0]
    return None
