"""Nightly and weekly maintenance of Postgres, and checks of its state. Run by a timer, not by dispatchers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from factory.domain.principal import PLATFORM
from factory.errors import Conflict, Misconfigured
from factory.store import bloat, maintenance, partitions
from factory.store.database import Database, Tx, rows
from factory.store.server import is_pooled

LONGEST_S = 12 * 3600.0
RETRY_S = 5.0
LEAST_WASTE_BYTES = 100 * 2**20
"""Less waste than this is not reported."""
WASTED_SHARE = 0.5
OLDEST_XID = 500_000_000
"""Transactions since the oldest one that is not frozen; Postgres stops writing at 2,000 million."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that an operator should look at."""

    kind: str
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, and what was found after it."""

    vacuumed: Sequence[str] = ()
    reindexed: Sequence[str] = ()
    dropped: Sequence[str] = ()
    findings: Sequence[Finding] = ()


def nightly(database: Database, wait_s: float = 0) -> Report:
    """Vacuums and analyzes all tables, then looks at them. `wait_s`: for another maintenance to end.

    Raises Conflict, Misconfigured, Unavailable.
    """
    with _alone(database, wait_s) as tx:
        done, failed = _each(tx, maintenance.vacuum, maintenance.tables(tx))
        return Report(vacuumed=done, findings=[*failed, *_findings(tx)])


def weekly(database: Database, wait_s: float = 0) -> Report:
    """Builds the indexes of all live tables anew, then looks at them. Raises as `nightly` does."""
    with _alone(database, wait_s) as tx:
        before, stuck = _each(tx, maintenance.drop_leftover, maintenance.leftovers(tx))
        done, failed = _each(tx, maintenance.reindex, maintenance.indexed_tables(tx))
        # A reindex that failed leaves an invalid index as well.
        after, stuck_again = _each(tx, maintenance.drop_leftover, maintenance.leftovers(tx))
        findings = [*stuck, *failed, *stuck_again, *_findings(tx)]
        return Report(reindexed=done, dropped=[*before, *after], findings=findings)


def check(database: Database) -> Report:
    """Looks only. Raises Unavailable."""
    with database.transaction(PLATFORM) as tx:
        return Report(findings=_findings(tx))


@contextmanager
def _alone(database: Database, wait_s: float) -> Iterator[Tx]:
    with database.autocommit(PLATFORM, answer_s=LONGEST_S) as tx:
        if is_pooled(tx):
            reason = "leads through a pooler: maintenance needs the address of Postgres itself"
            raise Misconfigured(f"DATABASE_URL {reason}", param="DATABASE_URL")
        _take_turn(tx, wait_s)
        yield tx


def _take_turn(tx: Tx, wait_s: float) -> None:
    """Tries again and again: a statement that waits would hold up the vacuum that it waits for."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            maintenance.take_turn(tx)
            return
        except Conflict:
            if time.monotonic() >= deadline:
                raise
        time.sleep(RETRY_S)


def _each(
    tx: Tx, step: Callable[[Tx, str], str | None], names: Sequence[str]
) -> tuple[list[str], list[Finding]]:
    """The names whose step succeeded, and findings for the others: a failure does not stop the rest."""
    done, failed = [], []
    for name in names:
        if reason := step(tx, name):
            failed.append(Finding("failed", name, reason))
        else:
            done.append(name)
            log.info("%s %s", step.__name__, name)
    return done, failed


def _findings(tx: Tx) -> list[Finding]:
    now = partitions.database_now(tx)
    return [*_bloated(tx), *_invalid(tx), *_partitions(tx, now), *_old(tx)]


def _bloated(tx: Tx) -> Iterator[Finding]:
    for size in bloat.sizes(tx):
        if size.wasted_bytes >= max(LEAST_WASTE_BYTES, WASTED_SHARE * size.bytes):
            what = "index" if size.is_index else "table"
            detail = f"about {size.wasted_bytes >> 20} of {size.bytes >> 20} MiB are empty"
            yield Finding(f"bloated_{what}", size.name, detail)


def _invalid(tx: Tx) -> Iterator[Finding]:
    for name in maintenance.leftovers(tx):
        yield Finding("invalid_index", name, "left by a reindex that did not end")


def _partitions(tx: Tx, now: datetime) -> Iterator[Finding]:
    for family in partitions.FAMILIES:
        last = partitions.ahead(family, now, partitions.DEMANDED)
        for span in partitions.missing(tx, family, now, last):
            yield Finding("missing_partition", family.table, f"none for {span.label}")
        if partitions.has_strays(tx, family):
            detail = "holds rows: partitions were made too late"
            yield Finding("default_partition", f"{family.table}_default", detail)


def _old(tx: Tx) -> Iterator[Finding]:
    statement = "SELECT datname AS name, age(datfrozenxid) AS age FROM pg_database WHERE datname = current_database()"
    [found] = rows(tx, statement)
    if found.age > OLDEST_XID:
        detail = f"{found.age:,} transactions are not frozen: vacuum does not keep up"
        yield Finding("transaction_age", found.name, detail)
