"""waiting → queued: the jobs that wait for something are queued when it comes.

No wake-up is lost. Who moves a job to `waiting`, and who brings what it waits for, lock the job's row first and look
then, with a statement of its own: under READ COMMITTED only a statement that begins after the lock was given sees what
the other has committed. So whoever comes second sees the first.
https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from factory.domain.instant import EARLIEST
from factory.domain.waiting import WaitType
from factory.store.database import Tx, ids, rows, run

MOST_DUE = 5000
PAGE = 5000

QUEUED = "state = 'queued', waiting_for = NULL, published_at = NULL, publishes = 0"
LOCK = "SELECT id FROM jobs WHERE id = ANY(CAST(%(ids)s AS uuid[])) ORDER BY id FOR UPDATE;"

# The end of a job may move its parent. All statements lock rows in order of id, so both are locked before the end.
# A job's webhook is no child: it is written when the job has ended.
FAMILIES = """
SELECT id FROM jobs
 WHERE id IN (
    SELECT unnest(CAST(%(ids)s AS uuid[]))
     UNION
    SELECT parent_id FROM jobs WHERE id = ANY(CAST(%(ids)s AS uuid[])) AND kind <> 'webhook')
 ORDER BY id FOR UPDATE
"""


def lock_families(tx: Tx, job_ids: Iterable[UUID]) -> None:
    """Locks the jobs and their parents."""
    run(tx, FAMILIES, {"ids": ids(job_ids)})


# A child that was archived has ended.
OPEN_CHILD = """
SELECT FROM jobs c
 WHERE c.parent_id = p.id AND c.kind <> 'webhook' AND c.state IN ('queued', 'running', 'waiting')
   AND (NOT p.waiting_for ? 'jobs' OR p.waiting_for -> 'jobs' ? c.id::text)
"""
FOR_CHILDREN = f"state = 'waiting' AND p.waiting_for ->> 'type' = '{WaitType.CHILDREN}'"
WAKE_PARENTS = f"""
UPDATE jobs p SET {QUEUED}, run_at = now()
 WHERE p.id = ANY(CAST(%(ids)s AS uuid[])) AND p.{FOR_CHILDREN} AND NOT EXISTS ({OPEN_CHILD})
RETURNING id
"""


def wake_parents(tx: Tx, job_ids: Iterable[UUID]) -> set[UUID]:
    """Queues those of the jobs that wait for children of which none is left.

    Called in the transaction that ended a child, and in the one that made the job wait: its children may have ended
    before.
    """
    return {row.id for row in rows(tx, LOCK + WAKE_PARENTS, {"ids": ids(job_ids)})}


WAKE = f"""
UPDATE jobs SET {QUEUED}, run_at = now()
 WHERE id = ANY(CAST(%(ids)s AS uuid[])) AND state = 'waiting' AND waiting_for ->> 'type' = %(type)s
RETURNING id
"""


def wake(tx: Tx, job_ids: Iterable[UUID], reason: WaitType) -> set[UUID]:
    """Queues those of the jobs that wait for this. Called in the transaction that brings it.

    What may come before the job waits must be looked for again in the transaction that makes it wait, as children are.
    """
    return {row.id for row in rows(tx, LOCK + WAKE, {"ids": ids(job_ids), "type": reason})}


# Two dispatchers take different jobs.
WAKE_DUE = f"""
UPDATE jobs SET {QUEUED}
 WHERE id IN (
    SELECT id FROM jobs
     WHERE state = 'waiting' AND waiting_for ->> 'type' = '{WaitType.TIME}' AND run_at <= now()
     ORDER BY run_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""


def wake_due(tx: Tx) -> int:
    """Queues jobs whose time has come, at most `MOST_DUE`; gives how many."""
    return run(tx, WAKE_DUE, {"limit": MOST_DUE})


@dataclass(frozen=True, slots=True)
class Parent:
    """A job that waits for children."""

    id: UUID
    run_at: datetime
    """Since when."""
    is_alone: bool
    """Whether none of them is left."""


FIRST = Parent(UUID(int=0), EARLIEST, is_alone=False)
PARENTS = f"""
SELECT p.id, p.run_at, NOT EXISTS ({OPEN_CHILD}) AS is_alone FROM jobs p
 WHERE p.{FOR_CHILDREN} AND (p.run_at, p.id) > (%(run_at)s, CAST(%(id)s AS uuid))
 ORDER BY p.run_at, p.id LIMIT %(limit)s
"""


def parents(tx: Tx, after: Parent = FIRST) -> Sequence[Parent]:
    """Jobs that wait for children, those that wait longest first, at most `PAGE`."""
    params = {"run_at": after.run_at, "id": str(after.id), "limit": PAGE}
    return [Parent(**row._asdict()) for row in rows(tx, PARENTS, params)]
