"""Prepared statements for the hot path: planned once a second on a connection, not at each run.

Postgres needs 1.5 ms to plan the end of an attempt and 1.0 ms to run it. A plan must not be kept for long: it fits
the sizes that tables had, and a bulk can grow an empty table to a million rows before Postgres updates its
statistics. Nor must a statement be prepared whose plan depends on its values: a join after `LIMIT $2`, which may be
anything, reads a whole table. https://www.postgresql.org/docs/current/sql-prepare.html

A pooler that gives each transaction another server connection does not keep what was prepared. If a pooler is
detected, nothing is prepared. If not, the first run that misses its statement fails with an error that passes,
and its connection prepares nothing from then on.
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
"""SQLSTATEs of a prepared statement that does not exist, and of one that exists already."""
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

    until: dict[str, float] = field(default_factory=dict)
    """For how long each statement is kept, by name."""
    known: bool = False
    """Whether nothing else may be prepared."""
    pooled: bool = False
    """Whether a pooler is in between, so that the server connection may change."""

    def text(self, form: Form, now: float) -> str:
        """What runs the statement, and prepares it before if need be."""
        if not self.known:
            return "DEALLOCATE ALL;" + form.prepare + form.execute
        if form.name not in self.until:
            return form.prepare + form.execute
        if now >= self.until[form.name]:
            return f"DEALLOCATE {form.name};" + form.prepare + form.execute
        return form.execute


def prepared_rows(
    tx: Tx,
    name: str,
    statement: str,
    params: Mapping[str, Any],
    kept_s: float | None = None,
    before: str = "",
) -> Sequence[Row[Any]]:
    """As `rows`, for a statement that runs many times a second. Arrays must come as text, such as `{1,2}`.

    `kept_s`: longer than a second for a statement whose plan fits tables of any size. `before`: statements that are sent
    in front, in the same message. Logs show `name`, followed by a
    checksum of the text, as programs of two versions may share a pooler.
    """
    kept = _kept(tx)
    if kept.pooled:
        return rows(tx, before + statement, params)
    form = prepared_form(name, statement)
    now = time.monotonic()
    text = kept.text(form, now)
    try:
        found = rows(tx, before + text, params)
    except DBAPIError as error:
        kept.known, kept.until = False, {}  # it may or may not have been prepared
        kept.pooled = getattr(error.orig, "pgcode", None) in LOST
        raise
    kept.known = True
    if text is not form.execute:
        kept.until[form.name] = now + (KEPT_S if kept_s is None else kept_s)
    return found


def _kept(tx: Tx) -> _Kept:
    kept: _Kept | None = tx.info.get("prepared")
    if kept is None:
        kept = tx.info["prepared"] = _Kept(pooled=is_pooled(tx))
    return kept


@lru_cache(maxsize=64)
def prepared_form(name: str, statement: str) -> Form:
    """`%(a)s` becomes `$1` in PREPARE, and stays a parameter in EXECUTE."""
    full = f"{name}_{crc32(statement.encode()):08x}"
    order = list(dict.fromkeys(PARAMETER.findall(statement)))
    body = PARAMETER.sub(lambda found: f"${order.index(found[1]) + 1}", statement)
    arguments = ", ".join(f"%({one})s" for one in order)
    return Form(full, f"PREPARE {full} AS {body};", f"EXECUTE {full}({arguments})")
