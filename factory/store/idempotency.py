"""Idempotency keys: what a request made, kept for its repetitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg2.errors import LockNotAvailable
from sqlalchemy.exc import OperationalError

from factory.errors import IdempotencyInFlight
from factory.store.database import Tx, as_json, rows, run


@dataclass(frozen=True, slots=True)
class Taken:
    """A key that was used before."""

    request_hash: str
    answer: Any
    """The answer's JSON. Releases before kept nothing else, and read nothing else."""
    job_id: UUID | None = None
    accepted: Any = None
    """What `factory.pipeline.accept.accepted` stores; null from a release before."""


# A repetition that arrives during the first request's transaction waits briefly for the unique index, and then reads
# the first answer.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '1s'"
TAKE = """
INSERT INTO idempotency_keys (project_id, key, request_hash, job_id, answer, accepted)
VALUES (%(project_id)s, %(key)s, %(request_hash)s, %(job_id)s, CAST(%(answer)s AS jsonb),
        CAST(%(accepted)s AS jsonb))
ON CONFLICT (project_id, key) DO NOTHING
"""
READ = """
SELECT request_hash, answer, job_id, accepted FROM idempotency_keys
 WHERE project_id = %(project_id)s AND key = %(key)s
"""


def find(tx: Tx, project_id: UUID, key: str) -> Taken | None:
    """The earlier use of the key."""
    found = rows(tx, READ, {"project_id": str(project_id), "key": key})
    return Taken(**found[0]._asdict()) if found else None


def take(
    tx: Tx,
    project_id: UUID,
    key: str,
    request_hash: str,
    *,
    job_id: UUID | None,
    answer: Any,
    accepted: Any = None,
) -> Taken | None:
    """Binds the key to this request; gives the earlier use, if there is one."""
    params = {
        "project_id": str(project_id),
        "key": key,
        "request_hash": request_hash,
        "job_id": str(job_id) if job_id else None,
        "answer": as_json(answer),
        "accepted": as_json(accepted),
    }
    run(tx, LOCK_TIMEOUT)
    try:
        if run(tx, TAKE, params) == 1:
            return None
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise IdempotencyInFlight(
                "the first request with this Idempotency-Key is still being answered",
                param="Idempotency-Key",
            ) from None
        raise
    return Taken(**rows(tx, READ, params)[0]._asdict())


FORGET = """
DELETE FROM idempotency_keys WHERE (project_id, key) IN (
    SELECT project_id, key FROM idempotency_keys WHERE created_at < now() - interval '2 days'
     ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""


def forget_old(tx: Tx, limit: int) -> int:
    """Deletes keys older than two days, at most `limit`; the API promises one day."""
    return run(tx, FORGET, {"limit": limit})
