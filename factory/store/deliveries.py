"""The log of webhook deliveries: one row per attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from factory.domain.job import first_id
from factory.store.database import Tx, as_json, run


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver an event."""

    id: UUID
    project_id: UUID
    job_id: UUID
    attempt: int
    url: str
    event_type: str
    http_status: int | None
    error: str | None
    duration_ms: int


LOG = """
INSERT INTO webhook_deliveries
       (id, project_id, job_id, attempt, url, event_type, http_status, error, duration_ms)
SELECT id, project_id, job_id, attempt, url, event_type, http_status, error, duration_ms
  FROM json_to_recordset(CAST(%(attempts)s AS json)) AS g(
       id uuid, project_id uuid, job_id uuid, attempt smallint, url text, event_type text,
       http_status smallint, error text, duration_ms int)
ON CONFLICT (id) DO NOTHING
"""


def log(tx: Tx, attempts: Sequence[Attempt]) -> None:
    """Records attempts and their results."""
    run(tx, LOG, {"attempts": as_json([asdict(attempt) for attempt in attempts])})


# Ids begin with the time, so no other index is needed to find the oldest rows.
FORGET = """
DELETE FROM webhook_deliveries WHERE id IN (
    SELECT id FROM webhook_deliveries WHERE id < %(first)s
     ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""


def forget_old(tx: Tx, before: datetime, limit: int) -> int:
    """Deletes the log of deliveries before that time, the oldest first; gives how many, at most `limit`."""
    return run(tx, FORGET, {"first": str(first_id(before)), "limit": limit})
