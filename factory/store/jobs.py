"""Writes and reads jobs. Every move between states is in `store.moves`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from factory.domain.instant import in_utc
from factory.domain.job import NewJob
from factory.domain.job_fields import OPTIONAL, OptionalFields, optional_values
from factory.domain.state import State
from factory.store import optional_columns
from factory.store.database import Tx, array, as_json, rows, run
from factory.store.lookup import SINCE, WANTED, Looks, Wanted, look_up
from factory.store.optional_columns import column_list
from factory.store.prepared import prepared_rows

JOB_FIELDS = column_list(optional_columns.JOBS)
PAYLOAD_FIELDS = column_list(optional_columns.PAYLOADS)
# One statement for any number of jobs: the rows travel as one JSON document, which costs less than twenty arrays.
INSERT = f"""
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(%(jobs)s AS json)) AS g(
        id uuid, project_id uuid, kind text, lane text, provider text, model text, priority text,
        max_attempts smallint, run_at timestamptz, deadline_s double precision,
        max_cost_micros bigint, input jsonb, params jsonb, fallbacks jsonb, metadata jsonb,
        webhook_url text, {column_list(f"{name} {one.sql}" for name, one in OPTIONAL.items())})
), payloads AS (
    INSERT INTO job_requests (job_id, project_id, input, params, fallbacks, metadata, webhook_url,
                              {PAYLOAD_FIELDS})
    SELECT id, project_id, input, params, ARRAY(SELECT jsonb_array_elements_text(fallbacks)), metadata,
           webhook_url, {PAYLOAD_FIELDS}
      FROM given
)
INSERT INTO jobs (id, project_id, kind, lane, provider, model, priority, max_attempts, run_at,
                  deadline_at, max_cost_micros, ends_in_archive, {JOB_FIELDS})
SELECT id, project_id, kind, lane, provider, model, priority, max_attempts,
       coalesce(run_at, now()), now() + make_interval(secs => deadline_s), max_cost_micros, true,
       {JOB_FIELDS}
  FROM given
"""


ACCEPT = INSERT + " RETURNING created_at"


def insert(tx: Tx, jobs: Sequence[NewJob]) -> None:
    """Writes jobs and their payloads, queued."""
    if jobs:
        insert_packed(tx, packed(jobs))


def packed(jobs: Sequence[NewJob]) -> str:
    """Jobs as the text that `insert_packed` takes."""
    return as_json([_as_row(job) for job in jobs])


def insert_packed(tx: Tx, text: str) -> None:
    """Writes packed jobs, queued."""
    run(tx, INSERT, {"jobs": text})


def accept(tx: Tx, jobs: Sequence[NewJob]) -> list[datetime]:
    """Writes at least one job; gives when each was created."""
    given = {"jobs": packed(jobs)}
    written = prepared_rows(tx, "accept", ACCEPT, given)
    # Postgres' now() is the transaction's start, so it is the same for all.
    return [written[0].created_at] * len(jobs)


NOT_STARTED: Mapping[str, Any] = {
    "attempt": 0,
    "deferrals": 0,
    "cancel_requested": False,
    "started_at": None,
    "finished_at": None,
    "output": None,
    "error": None,
    "input_tokens": 0,
    "output_tokens": 0,
    "cached_tokens": 0,
    "cost_micros": None,
    "unknown_calls": 0,
}
"""What a view shows of a job that was accepted, and to which nothing has happened yet."""


def queued(job: NewJob, created_at: datetime) -> JobView:
    """The view that reading the new job back would give, without the read."""
    return JobView(
        id=job.id,
        project_id=job.project_id,
        kind=job.kind,
        state=State.QUEUED,
        lane=job.lane,
        provider=job.provider,
        model=job.model,
        priority=job.priority,
        max_attempts=job.max_attempts,
        metadata=dict(job.metadata),
        created_at=created_at,
        run_at=in_utc(job.run_at) if job.run_at else created_at,
        **NOT_STARTED,
        **optional_values(job),
    )


def _as_row(job: NewJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "project_id": job.project_id,
        "kind": job.kind,
        "lane": job.lane,
        "provider": job.provider,
        "model": job.model,
        "priority": job.priority,
        "max_attempts": job.max_attempts,
        "run_at": job.run_at,
        "deadline_s": job.deadline_s,
        "max_cost_micros": job.max_cost_micros,
        "input": job.input,
        "params": job.params,
        "fallbacks": job.fallbacks,
        "metadata": job.metadata,
        "webhook_url": job.webhook_url,
        **optional_values(job),
    }


@dataclass(frozen=True, slots=True)
class JobView(OptionalFields):
    """A job as its owner sees it."""

    id: UUID
    project_id: UUID
    kind: str
    state: State
    lane: str
    provider: str
    model: str | None
    priority: str
    attempt: int
    max_attempts: int
    deferrals: int
    cancel_requested: bool
    metadata: dict[str, Any]
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    output: Any
    error: dict[str, Any] | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_micros: int | None
    """None: not finished, or a price or a call's outcome is unknown."""
    unknown_calls: int
    """Calls of unknown cost: without a price, or without a recorded answer."""
    expired: bool = False
    """Whether input, output and error have been removed; usage and cost are kept."""


SHOWN = f"""
SELECT j.id, j.project_id, j.kind, j.state, j.lane, j.provider, j.model, j.priority, j.attempt,
       j.max_attempts, j.deferrals, j.cancel_requested_at IS NOT NULL AS cancel_requested,
       j.created_at, j.run_at, j.started_at, j.finished_at,
       {column_list(optional_columns.JOBS, "j")},
"""
PAYLOAD_SHOWN = column_list(("metadata", *optional_columns.PAYLOADS), "p")
"""What `SHOWN` lacks of a live job, from its row `p` of `job_requests`."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where jobs are read from: the columns whose names differ, and the tables."""

    columns: str
    tables: str


LIVE = Source(
    f"""
       {PAYLOAD_SHOWN}, r.output, r.error, coalesce(r.input_tokens, 0) AS input_tokens,
       coalesce(r.output_tokens, 0) AS output_tokens, coalesce(r.cached_tokens, 0) AS cached_tokens,
       r.cost_micros, coalesce(r.unknown_calls, 0) AS unknown_calls, false AS expired""",
    """
  FROM jobs j
  JOIN job_requests p ON p.job_id = j.id
  LEFT JOIN job_outcomes r ON r.job_id = j.id""",
)
ARCHIVED = Source(
    f"""
       {column_list(("metadata", *optional_columns.PAYLOADS), "j")}, c.output, c.error, j.input_tokens, j.output_tokens, j.cached_tokens,
       j.cost_micros, j.unknown_calls, c.job_id IS NULL AS expired""",
    """
  FROM jobs_archive j
  LEFT JOIN job_contents c ON c.job_id = j.id AND c.finished_at = j.finished_at""",
)
LIVE_VIEW = f"{SHOWN} {LIVE.columns} {LIVE.tables}"
ARCHIVE_VIEW = f"{SHOWN} {ARCHIVED.columns} {ARCHIVED.tables}"
GET = LIVE_VIEW + WANTED
GET_ARCHIVED = f"{ARCHIVE_VIEW} AND c.finished_at >= {SINCE} {WANTED} AND j.finished_at >= {SINCE}"
LOOKS = Looks(("get", GET), ("get_archived", GET_ARCHIVED))


def get(tx: Tx, project_id: UUID, job_id: UUID) -> JobView | None:
    """One job of a project, live or archived, or None."""
    return get_all(tx, [(project_id, job_id)])[0]


def get_all(tx: Tx, wanted: Sequence[Wanted]) -> list[JobView | None]:
    """The job of each pair, live or archived; None if the project has no such job."""
    return look_up(tx, wanted, LOOKS, view_of)


def view_of(row: Any) -> JobView:
    """The view that a row of `LIVE_VIEW` or `ARCHIVE_VIEW` holds."""
    values = row._asdict()
    values["state"] = State.named(values["state"])
    return JobView(**values)


# Most that is waited for is live. What is not, has just ended, or there is no such job.
ENDED = """
SELECT g.id FROM unnest(CAST(%(ids)s AS uuid[])) AS g(id) LEFT JOIN jobs j ON j.id = g.id
 WHERE j.state IN ('succeeded', 'failed', 'cancelled')
    OR (j.id IS NULL AND EXISTS (SELECT FROM jobs_archive a WHERE a.id = g.id))
"""


def ended(tx: Tx, job_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the given jobs that are in a terminal state."""
    return {row.id for row in prepared_rows(tx, "ended", ENDED, {"ids": array(job_ids)})}


@dataclass(frozen=True, slots=True)
class LaneDepth:
    """How much waits and runs in a lane."""

    lane: str
    state: str
    jobs: int
    oldest_age_s: float
    """Seconds since the oldest due job became due; 0 if none is due."""


# A job that waits for its `run_at` is not late, so that does not count as age. Each part has an index of live jobs
# alone, so no ended job is read.
DEPTHS = """
WITH live AS (
    SELECT lane, project_id, run_at, 'queued' AS state FROM jobs
     WHERE state = 'queued' AND published_at IS NULL
    UNION ALL
    SELECT lane, project_id, run_at, state FROM jobs
     WHERE state = 'running' OR (state = 'queued' AND published_at IS NOT NULL)
    UNION ALL
    SELECT lane, project_id, run_at, state FROM jobs WHERE state = 'waiting'
)
SELECT lane, state, count(*) AS jobs,
       greatest(0, coalesce(extract(epoch FROM now() - min(run_at) FILTER (WHERE state = 'queued')), 0))::float8
           AS oldest_age_s
  FROM live
 WHERE CAST(%(project_id)s AS uuid) IS NULL OR project_id = CAST(%(project_id)s AS uuid)
 GROUP BY lane, state
"""


def depths(tx: Tx, project_id: UUID | None = None) -> list[LaneDepth]:
    """Live jobs by lane and state, of one project or of all."""
    params = {"project_id": str(project_id) if project_id else None}
    return [LaneDepth(**row._asdict()) for row in rows(tx, DEPTHS, params)]
