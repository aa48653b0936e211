"""Jobs in quarantine: which to publish, and how they stand. They have a window of their own, so that the other jobs
of a lane go on, however many wait in quarantine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from factory.domain.job import Kind
from factory.domain.quarantine import ALONE_DEATHS, QUARANTINE_DEATHS
from factory.domain.state import State
from factory.store.database import Tx, ids, rows, run

QUARANTINED = f"deaths >= {QUARANTINE_DEATHS}"
"""As it stands in the index: a parameter would hide it from the planner."""

QUARANTINED_LANES = f"""
SELECT DISTINCT lane FROM jobs
 WHERE state = 'queued' AND published_at IS NULL AND {QUARANTINED} AND run_at <= now()
   AND id NOT IN (SELECT job_id FROM hints)
"""
PUBLISH = f"""
WITH chosen AS MATERIALIZED (
    SELECT id, project_id, deaths, publishes, run_at FROM jobs
     WHERE lane = %(lane)s AND state = 'queued' AND published_at IS NULL AND {QUARANTINED}
       AND run_at <= now() AND id NOT IN (SELECT job_id FROM hints WHERE lane = %(lane)s)
     ORDER BY run_at, id LIMIT %(window)s
), marked AS (
    INSERT INTO hints (lane, job_id, project_id, is_quarantined, publishes, published_at)
    SELECT %(lane)s, id, project_id, true, least(publishes + 1, 20), now() FROM chosen ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING job_id
)
SELECT id, deaths FROM chosen WHERE id IN (SELECT job_id FROM marked) ORDER BY run_at, id
"""


def publish(tx: Tx, lane: str, window: int) -> dict[UUID, int]:
    """Marks at most `window` due quarantined jobs of the lane as published; gives their deaths."""
    return {row.id: row.deaths for row in rows(tx, PUBLISH, {"lane": lane, "window": window})}


DUE = f"""
SELECT id, deaths FROM jobs
 WHERE id = ANY(CAST(%(ids)s AS uuid[])) AND state = 'queued' AND run_at <= now() AND {QUARANTINED}
 ORDER BY id
"""


def due(tx: Tx, job_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The deaths of those of the jobs that still wait; the hints of the others are stale."""
    return {row.id: row.deaths for row in rows(tx, DUE, {"ids": ids(job_ids)})}


@dataclass(frozen=True, slots=True)
class QuarantinedJob:
    """A job in quarantine as Flower shows it. `error`: as stored, of its last attempt."""

    id: UUID
    kind: Kind
    state: State
    lane: str
    model: str | None
    agent: str | None
    attempt: int
    error: dict[str, Any] | None


STORED = """
SELECT j.id, j.kind, j.state, j.lane, j.model, j.agent, j.attempt, coalesce(r.error, j.last_error) AS error
  FROM jobs j LEFT JOIN job_outcomes r ON r.job_id = j.id
 WHERE j.id = ANY(CAST(%(ids)s AS uuid[]))
 UNION ALL
SELECT id, kind, state, lane, model, agent, attempt, NULL FROM jobs_archive
 WHERE id = ANY(CAST(%(ids)s AS uuid[])) AND state = 'succeeded'
"""


def stored(tx: Tx, job_ids: Sequence[UUID]) -> list[QuarantinedJob]:
    """Those of the jobs that are live or have succeeded, in no particular order."""
    found = (row._asdict() for row in rows(tx, STORED, {"ids": ids(job_ids)}))
    return [
        QuarantinedJob(**{**row, "kind": Kind(row["kind"]), "state": State(row["state"])})
        for row in found
    ]


ISOLATE = f"""
UPDATE jobs SET deaths = greatest(deaths, {ALONE_DEATHS} - 1)
 WHERE id = CAST(%(job)s AS uuid) AND worker_id = CAST(%(worker)s AS uuid) AND state = 'running'
"""


def isolate(tx: Tx, job_id: UUID, worker_id: UUID) -> None:
    """The worker is about to end because of this job: from then on the job runs in a process of its own."""
    run(tx, ISOLATE, {"job": str(job_id), "worker": str(worker_id)})
