"""The mark that this database was restored from a backup, which holds its jobs until an operator decides.

A job that had not ended when the backup was made may have ended since, and been paid for: the rows that would tell
are lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from factory.domain.job import new_id
from factory.store.database import Tx, rows, run

HELD = "EXISTS (SELECT FROM restores WHERE decided_at IS NULL)"
TOKENS_SKIPPED = 1_000_000_000
"""More leases than can have been given between any backup and its restore."""

MARK = """
INSERT INTO restores (id, backup, restored_to) VALUES (%(id)s, %(backup)s, %(restored_to)s)
"""
# A worker that is still alive may hold a lease from after the backup. Without this its token would be given out again,
# and its late result taken for that of the new holder.
SKIP_TOKENS = "SELECT setval('lease_tokens', nextval('lease_tokens') + %(skipped)s)"
# running → queued. The worker that held a job may have ended it since, and live on: its heartbeat would keep the lease
# of a job that nobody runs. The attempt is given back; otherwise the last one could not be made.
END_LEASES = """
UPDATE jobs SET state = 'queued', worker_id = NULL, lease_token = NULL, last_lease_token = NULL,
       attempt = attempt - CASE WHEN state = 'running' THEN 1 ELSE 0 END,
       published_at = NULL, publishes = 0
 WHERE state = 'running' OR (state = 'queued' AND published_at IS NOT NULL)
"""
FORGET_HINTS = "DELETE FROM hints"


def mark(tx: Tx, backup: str, restored_to: datetime) -> None:
    """Holds all jobs, and ends all leases: the database is as it was at `restored_to`."""
    params = {"id": str(new_id()), "backup": backup, "restored_to": restored_to}
    run(tx, MARK, params)
    rows(tx, SKIP_TOKENS, {"skipped": TOKENS_SKIPPED})
    run(tx, END_LEASES)
    run(tx, FORGET_HINTS)


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore that nobody has decided about."""

    backup: str
    restored_to: datetime
    restored_at: datetime


UNDECIDED = """
SELECT backup, restored_to, restored_at FROM restores WHERE decided_at IS NULL ORDER BY restored_at
"""


def undecided(tx: Tx) -> list[Restore]:
    """Oldest first; mostly none."""
    return [Restore(**row._asdict()) for row in rows(tx, UNDECIDED)]


DECIDE = """
UPDATE restores SET decided_at = now(), decision = %(decision)s WHERE decided_at IS NULL
"""


def decide(tx: Tx, decision: str) -> int:
    """Lets jobs go out again; gives how many restores were decided about."""
    return run(tx, DECIDE, {"decision": decision})


IN_DOUBT = """
SELECT kind, state, provider, model, count(*) AS jobs,
       min(created_at) AS oldest, max(created_at) AS newest
  FROM jobs
 WHERE state IN ('queued', 'running', 'waiting') AND created_at <= %(restored_to)s
 GROUP BY kind, state, provider, model
 ORDER BY kind, state, provider, model
"""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Jobs of one kind that may have ended after the backup's moment."""

    kind: str
    state: str
    provider: str
    model: str | None
    jobs: int
    oldest: datetime
    newest: datetime


def in_doubt(tx: Tx, restored_to: datetime) -> list[InDoubt]:
    """All jobs that had not ended at that moment, in groups."""
    return [InDoubt(**row._asdict()) for row in rows(tx, IN_DOUBT, {"restored_to": restored_to})]


@dataclass(frozen=True, slots=True)
class LiveJob:
    """A job in doubt, and who holds it."""

    id: UUID
    kind: str
    state: str
    lease_token: int | None
    created_at: datetime


# Webhooks are delivered at least once, so they may be sent again and are never failed here.
SOME = """
SELECT id, kind, state, lease_token, created_at FROM jobs
 WHERE state IN ('queued', 'running', 'waiting') AND kind <> 'webhook' AND id > %(after)s
   AND created_at <= %(until)s AND created_at >= %(since)s
 ORDER BY id LIMIT %(limit)s
"""
NONE = UUID(int=0)


def some_in_doubt(
    tx: Tx, since: datetime, until: datetime, limit: int, after: UUID = NONE
) -> list[LiveJob]:
    """Those that were created from `since` to `until`, `limit` at a time, in order of id."""
    params = {"since": since, "until": until, "limit": limit, "after": str(after)}
    return [LiveJob(**row._asdict()) for row in rows(tx, SOME, params)]
