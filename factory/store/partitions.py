"""The archive's partitions: made ahead of time, dropped when their time is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from factory.domain.period import Period, Span
from factory.store.database import Tx, rows, run


@dataclass(frozen=True, slots=True)
class Family:
    """A partitioned table and the column that decides a row's partition."""

    table: str
    column: str
    period: Period


JOBS = Family("jobs_archive", "finished_at", Period.MONTH)
CALLS = Family("llm_calls_archive", "started_at", Period.MONTH)
CONTENTS = Family("job_contents", "finished_at", Period.DAY)
FAMILIES = (JOBS, CALLS, CONTENTS)

MADE = MappingProxyType({Period.MONTH: 3, Period.DAY: 7})
"""How many periods ahead dispatchers make partitions."""
DEMANDED = MappingProxyType({Period.MONTH: 1, Period.DAY: 2})
"""How many periods ahead one that is missing is told of: dispatchers have made none for long."""

TURN = "SELECT pg_advisory_xact_lock(7246174)"
"""Lets one dispatcher make partitions at a time."""
EXISTING = """
SELECT c.relname AS name,
       (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO [(]''([^'']+)'))[1]::timestamptz AS ends
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = to_regclass(%(table)s) AND NOT i.inhdetachpending
"""


def _name(family: Family, span: Span) -> str:
    return f"{family.table}_{span.label}"


def ahead(family: Family, now: datetime, periods: Mapping[Period, int]) -> datetime:
    """When the last period starts whose partition is to be there now."""
    return family.period.shift(family.period.start(now), periods[family.period])


def missing(tx: Tx, family: Family, first: datetime, last: datetime) -> list[Span]:
    """The periods from `first` to `last` that have no partition yet."""
    there = {row.name for row in rows(tx, EXISTING, {"table": family.table})}
    return [span for span in family.period.spans(first, last) if _name(family, span) not in there]


# Attaching takes a weaker lock than creating in place. Rows that were written before their partition existed are moved
# from the default partition.
MAKE = (
    "CREATE TABLE {name} (LIKE {table} INCLUDING ALL)",
    "LOCK TABLE {table}_default IN SHARE ROW EXCLUSIVE MODE",
    "WITH early AS (DELETE FROM {table}_default WHERE {column} >= '{start}' AND {column} < '{end}'"
    " RETURNING *) INSERT INTO {name} SELECT * FROM early",
    "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')",
)


def make(tx: Tx, family: Family, span: Span) -> bool:
    """Makes the partition; False when somebody else has."""
    name = _name(family, span)
    rows(tx, TURN)
    if rows(tx, "SELECT to_regclass(%(name)s) IS NOT NULL AS there", {"name": name})[0].there:
        return False
    for statement in MAKE:
        run(tx, statement.format(name=name, start=span.start, end=span.end, **_words(family)))
    return True


def _words(family: Family) -> dict[str, str]:
    return {"table": family.table, "column": family.column}


def over(tx: Tx, family: Family, cutoff: datetime) -> Sequence[str]:
    """The names of the partitions that hold nothing younger than `cutoff`."""
    found = rows(tx, EXISTING, {"table": family.table})
    return [row.name for row in found if row.ends is not None and row.ends <= cutoff]


def drop(tx: Tx, name: str) -> None:
    """Drops a partition with all that is in it.

    The parent is locked only for a moment: Postgres removes the files after it lets the locks go.
    """
    run(tx, f"DROP TABLE IF EXISTS {name}")


def has_strays(tx: Tx, family: Family) -> bool:
    """Whether the default partition holds rows: no partition was there for their time."""
    return bool(rows(tx, f"SELECT FROM {family.table}_default LIMIT 1"))


def trim_default(tx: Tx, family: Family, cutoff: datetime, limit: int) -> int:
    """Deletes what is older than `cutoff` and has no partition; gives how many rows, at most `limit`."""
    words = {**_words(family), "key": "job_id" if family is CONTENTS else "id"}
    statement = (
        "DELETE FROM {table}_default WHERE ({key}, {column}) IN"
        " (SELECT {key}, {column} FROM {table}_default WHERE {column} < %(cutoff)s"
        " LIMIT %(limit)s FOR UPDATE SKIP LOCKED)"
    )
    return run(tx, statement.format(**words), {"cutoff": cutoff, "limit": limit})


def database_now(tx: Tx) -> datetime:
    """Postgres' clock: the one by which jobs end."""
    found: datetime = rows(tx, "SELECT now() AS at")[0].at
    return found
