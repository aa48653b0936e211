"""Which jobs in quarantine to publish. They have a window of their own: however many there are, and
however long they wait for their turn, the other jobs of the lane go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from factory.domain.quarantine import ALONE_DEATHS, QUARANTINE_DEATHS
from factory.store.database import Tx, ids, rows, run

SUSPECT = f"deaths >= {QUARANTINE_DEATHS}"
"""As it stands in the index: a parameter would hide it from the planner."""

SUSPECT_LANES = f"""
SELECT DISTINCT lane FROM jobs
 WHERE state = 'queued' AND published_at IS NULL AND {SUSPECT} AND run_at <= now()
"""
PUBLISH = f"""
WITH chosen AS (
    SELECT id, run_at FROM jobs
     WHERE lane = %(lane)s AND state = 'queued' AND published_at IS NULL AND {SUSPECT}
       AND run_at <= now()
     ORDER BY run_at, id LIMIT %(window)s FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE jobs j SET published_at = now(), publishes = least(j.publishes + 1, 20)
      FROM chosen c WHERE j.id = c.id
    RETURNING j.id, j.deaths, c.run_at
)
SELECT id, deaths FROM marked ORDER BY run_at, id
"""


def publish(tx: Tx, lane: str, window: int) -> dict[UUID, int]:
    """Marks at most `window` due suspects of the lane as published; gives their deaths."""
    return {row.id: row.deaths for row in rows(tx, PUBLISH, {"lane": lane, "window": window})}


DUE = f"""
SELECT id, deaths FROM jobs
 WHERE id = ANY(CAST(%(ids)s AS uuid[])) AND state = 'queued' AND run_at <= now() AND {SUSPECT}
 ORDER BY id
"""


def due(tx: Tx, job_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The deaths of those of the jobs that still wait for their turn: the hints of the others are stale."""
    return {row.id: row.deaths for row in rows(tx, DUE, {"ids": ids(job_ids)})}


ACCUSE = f"""
UPDATE jobs SET deaths = greatest(deaths, {ALONE_DEATHS} - 1)
 WHERE id = CAST(%(job)s AS uuid) AND worker_id = CAST(%(worker)s AS uuid) AND state = 'running'
"""


def accuse(tx: Tx, job_id: UUID, worker_id: UUID) -> None:
    """The worker is about to die of this job, as it has seen: after that death the job runs alone."""
    run(tx, ACCUSE, {"job": str(job_id), "worker": str(worker_id)})
