"""A project's jobs as a list, newest first, live and archived ones together."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from uuid import UUID

from factory.domain.state import State
from factory.store.database import Tx, as_json, rows
from factory.store.jobs import ARCHIVE_VIEW, LIVE_VIEW, JobView, view_of


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs of a project to list; None means any."""

    state: str | None = None
    lane: str | None = None
    agent: str | None = None
    model: str | None = None
    metadata: dict[str, str] | None = None
    webhooks: bool = False
    """Whether to list the platform's own delivery jobs too."""


def find(
    tx: Tx, project_id: UUID, chosen: Filter, *, limit: int, after: UUID | None
) -> list[JobView]:
    """Newest first, at most `limit`, older than the job `after`."""
    params = _params(project_id, chosen, limit, after)
    return [view_of(row) for row in rows(tx, statement(chosen, after), params)]


def _params(project_id: UUID, chosen: Filter, limit: int, after: UUID | None) -> dict[str, object]:
    return {
        "project_id": str(project_id),
        "limit": limit,
        "state": chosen.state,
        "lane": chosen.lane,
        "agent": chosen.agent,
        "model": chosen.model,
        "metadata": as_json(chosen.metadata),
        "after": str(after),
    }


class Listed(NamedTuple):
    """A job as a list carries it."""

    job: JobView
    result_omitted: bool
    """Whether its result is left out because it is large."""


LARGEST_LISTED_BYTES = 64 * 1024
"""A larger result, as JSON, is left out of a list; so a page of 100 jobs is bounded."""
# The stored size is checked first, so that a far too large result is not unpacked to be measured.
FITS = f"""
(pg_column_size(page.output) <= {LARGEST_LISTED_BYTES}
 AND octet_length(page.output::text) <= {LARGEST_LISTED_BYTES})
"""
OTHERS = ", ".join(f"page.{one.name}" for one in fields(JobView) if one.name != "output")


def find_listed(
    tx: Tx, project_id: UUID, chosen: Filter, *, limit: int, after: UUID | None
) -> list[Listed]:
    """As `find`, without results that are large."""
    params = _params(project_id, chosen, limit, after)
    found = rows(tx, listed_statement(chosen, after), params)
    return [Listed(_view(row), not row.fits) for row in found]


def _view(row: Any) -> JobView:
    values = row._asdict()
    del values["fits"]
    values["state"] = State.named(values["state"])
    return JobView(**values)


def listed_statement(chosen: Filter, after: UUID | None) -> str:
    """Leaves large results out of one page, so that no other rows are unpacked."""
    page = statement(chosen, after)
    return f"""
SELECT {OTHERS}, CASE WHEN {FITS} THEN page.output END AS output,
       page.output IS NULL OR {FITS} AS fits
  FROM ({page}) page ORDER BY page.id DESC"""


def statement(chosen: Filter, after: UUID | None) -> str:
    """One statement, so one snapshot: a job that is archived meanwhile is listed once."""
    live = _page(LIVE_VIEW, _clauses(chosen, after, metadata="p.metadata"))
    archived = _page(ARCHIVE_VIEW, _clauses(chosen, after, metadata="j.metadata"))
    return f"({live}) UNION ALL ({archived}) ORDER BY id DESC LIMIT %(limit)s"


def _page(view: str, clauses: str) -> str:
    return f"{view} WHERE {clauses} ORDER BY j.id DESC LIMIT %(limit)s"


def _clauses(chosen: Filter, after: UUID | None, *, metadata: str) -> str:
    wanted = {
        "j.state = %(state)s": chosen.state,
        "j.lane = %(lane)s": chosen.lane,
        "j.agent = %(agent)s": chosen.agent,
        "j.model = %(model)s": chosen.model,
        f"{metadata} @> CAST(%(metadata)s AS jsonb) AND {metadata} <> '{{}}'": chosen.metadata,
        "j.id < %(after)s": after,
    }
    where = ["j.project_id = %(project_id)s"]
    where += [clause for clause, value in wanted.items() if value is not None]
    if not chosen.webhooks:
        where.append("j.kind <> 'webhook'")
    return " AND ".join(where)
