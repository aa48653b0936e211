"""Looking jobs up by their ids, wherever they are.

A look begins among live jobs; on a connection that has found archived ones alone lately, it begins in the archive.
There, ids say where to look: a job cannot have ended before it was made. So the partitions of before are left out when
the statement starts, and a look costs the same however long the archive is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from factory.domain.job import made_at
from factory.store.database import Tx, array
from factory.store.prepared import prepared_rows

WANTED = """
 WHERE (j.id, j.project_id) IN (
    SELECT * FROM unnest(CAST(%(ids)s AS uuid[]), CAST(%(project_ids)s AS uuid[])))
"""
SINCE = "CAST(%(since)s AS timestamptz)"
"""When the jobs that are looked up can have ended, at the earliest."""
EVER = "-infinity"
ARCHIVE_KEPT_S = 60.0
"""Planning a look into the archive costs 10 ms and more, for each partition its share, and what comes of it is always the
same: searches by key. Postgres itself plans it anew when a partition comes or goes.
"""

ENDED_IN_A_ROW = 8
"""After so many looks of a connection that found archived jobs alone, its next one starts in the archive, which saves a
round trip. Where live jobs are asked for as well, that hardly ever happens: they cost what they did.
"""
IN_A_ROW = "ended_in_a_row"

Wanted = tuple[UUID, UUID]
"""A project's id and a job's."""
View = TypeVar("View")


Look = tuple[str, str]
"""The name of a prepared statement that takes `WANTED`, and its text."""


class Looks(NamedTuple):
    """Where to look. The archive's statement also takes `SINCE`."""

    live: Look
    archived: Look


def look_up(
    tx: Tx, wanted: Sequence[Wanted], looks: Looks, view: Callable[[Any], View]
) -> list[View | None]:
    """What `view` makes of each job's row, live or archived, or None."""
    found: dict[Wanted, View] = {}
    missing, archived = list(wanted), 0
    in_a_row: int = tx.info.get(IN_A_ROW, 0)
    for look, since in _in_turn(looks, wanted, archive_first=in_a_row >= ENDED_IN_A_ROW):
        if not missing:
            break
        is_archive = look is looks.archived
        kept_s = ARCHIVE_KEPT_S if is_archive else None
        for row in prepared_rows(tx, *look, _params(missing, since), kept_s):
            found[row.project_id, row.id] = view(row)
            archived += is_archive
        missing = [one for one in missing if one not in found]
    tx.info[IN_A_ROW] = in_a_row + 1 if archived == len(found) > 0 else 0
    return [found.get(one) for one in wanted]


def _in_turn(
    looks: Looks, wanted: Sequence[Wanted], *, archive_first: bool
) -> Iterator[tuple[Look, str]]:
    since = min(made_at(job_id) for _, job_id in wanted).isoformat()
    if archive_first:
        yield looks.archived, since
    yield looks.live, EVER
    yield looks.archived, since
    # The id may come from a machine whose clock was days ahead.
    yield looks.archived, EVER
    # A retry may have moved a job back between the reads.
    yield looks.live, EVER


def _params(wanted: Sequence[Wanted], since: str) -> dict[str, str]:
    return {
        "ids": array([one[1] for one in wanted]),
        "project_ids": array([one[0] for one in wanted]),
        "since": since,
    }
