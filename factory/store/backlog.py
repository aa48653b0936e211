"""Queued jobs per project: measured by a dispatcher, read by gateways before they accept more."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from factory.store.database import Tx, rows, run

# Counted in two parts, one for each partial index, so that no ended job is read. A project without queued jobs
# loses its row, so the table stays small.
MEASURE = """
WITH counted AS MATERIALIZED (
    SELECT project_id, sum(jobs)::bigint AS queued
      FROM (SELECT project_id, count(*) AS jobs FROM jobs
             WHERE state = 'queued' AND published_at IS NULL GROUP BY project_id
            UNION ALL
            SELECT project_id, count(*) FROM jobs
             WHERE state = 'queued' AND published_at IS NOT NULL GROUP BY project_id) parts
     GROUP BY project_id
), emptied AS (
    DELETE FROM backlog b WHERE NOT EXISTS (
        SELECT FROM counted c WHERE c.project_id = b.project_id)
)
INSERT INTO backlog (project_id, queued, drained_per_s, measured_at)
SELECT project_id, queued, %(drained_per_s)s, now() FROM counted ORDER BY project_id
ON CONFLICT (project_id) DO UPDATE
   SET queued = excluded.queued, drained_per_s = excluded.drained_per_s, measured_at = now()
"""
# Two dispatchers would measure the same: the second one skips it.
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(7246173) AS mine"


def measure(tx: Tx, drained_per_s: float) -> None:
    """Counts the queued jobs of each project; `drained_per_s` is how fast all workers finish jobs."""
    if rows(tx, TRY_LOCK)[0].mine:
        run(tx, MEASURE, {"drained_per_s": drained_per_s})


FINISHED = """
SELECT coalesce(sum(amount), 0)::float8 AS jobs FROM counters WHERE metric = 'jobs_finished_total'
"""


def finished(tx: Tx) -> float:
    """Jobs that have ended since the database was made."""
    return float(rows(tx, FINISHED)[0].jobs)


@dataclass(frozen=True, slots=True)
class Depth:
    """Queued jobs at the last measurement, and how many jobs the workers finish in a second."""

    project: int
    all: int
    drained_per_s: float


DEPTH = """
SELECT coalesce(sum(queued) FILTER (WHERE project_id = %(project_id)s), 0)::bigint AS project,
       coalesce(sum(queued), 0)::bigint AS all,
       coalesce(max(drained_per_s), 0)::float8 AS drained_per_s
  FROM backlog
"""


def depth(tx: Tx, project_id: UUID) -> Depth:
    """Queued jobs of the project and of all projects."""
    return Depth(**rows(tx, DEPTH, {"project_id": str(project_id)})[0]._asdict())
