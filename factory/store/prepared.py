"""Prepared statements for the hot path: planned once a second on a connection, not at each run.

Postgres plans the end of an attempt for 1.5 ms and runs it in 1.0. A plan that is kept for long is no answer:
it was made for the sizes that tables had, and a bulk can grow an empty table to a million rows before Postgres
looks at its statistics again. Nor does it fit a statement that needs its values to be planned well: `publish`
would read the backlog, as `LIMIT $2` may be anything. https://www.postgresql.org/docs/current/sql-prepare.html

A pooler that gives each transaction another server connection does not keep what was prepared. Behind one that
shows itself nothing is prepared. One that does not is found by the first run that misses its statement: that run
fails in passing, and its connection prepares nothing any more.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from zlib import crc32

from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError

from factory.store.database import Tx, rows
from factory.store.server import is_pooled

KEPT_S = 1.0
LOST = ("26000", "42P05")
"""SQLSTATEs of a prepared statement that is not there, and of one that is there already."""
PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Form:
    """The texts of a statement that is prepared."""

    name: str
    prepare: str
    execute: str


@dataclass(slots=True)
class _Kept:
    """What a connection has prepared."""

    until: float = 0.0
    names: set[str] = field(default_factory=set)
    pooled: bool = False
    """A pooler stands between: the connection is not always the same one."""


def prepared_rows(
    tx: Tx, name: str, statement: str, params: Mapping[str, Any]
) -> Sequence[Row[Any]]:
    """As `rows`, for a statement that runs many times a second. Arrays must come as text, such as `{1,2}`.

    `name` is what logs show, with a sum of the text behind it: programs of two versions may share a pooler.
    """
    kept = _kept(tx)
    if kept.pooled:
        return rows(tx, statement, params)
    form = prepared_form(name, statement)
    now = time.monotonic()
    text = form.execute
    if now >= kept.until:
        text = "DEALLOCATE ALL;" + form.prepare + text
        kept.until, kept.names = now + KEPT_S, set()
    elif form.name not in kept.names:
        text = form.prepare + text
    try:
        found = rows(tx, text, params)
    except DBAPIError as error:
        kept.until = 0.0  # whether it was prepared, nobody knows
        kept.pooled = getattr(error.orig, "pgcode", None) in LOST
        raise
    kept.names.add(form.name)
    return found


def _kept(tx: Tx) -> _Kept:
    kept: _Kept | None = tx.info.get("prepared")
    if kept is None:
        kept = tx.info["prepared"] = _Kept(pooled=is_pooled(tx))
    return kept


@lru_cache(maxsize=64)
def prepared_form(name: str, statement: str) -> Form:
    """`%(a)s` becomes `$1` where it is prepared, and is filled in where it is run."""
    full = f"{name}_{crc32(statement.encode()):08x}"
    order = list(dict.fromkeys(PARAMETER.findall(statement)))
    body = PARAMETER.sub(lambda found: f"${order.index(found[1]) + 1}", statement)
    arguments = ", ".join(f"%({one})s" for one in order)
    return Form(full, f"PREPARE {full} AS {body};", f"EXECUTE {full}({arguments})")
