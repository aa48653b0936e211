"""Workers and their leases: a job's lease lives as long as its worker's heartbeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from factory.store.database import Tx, ids, rows, run

REGISTER = """
INSERT INTO workers (id, hostname, pid, pid_namespace, lanes, slots)
VALUES (%(id)s, %(hostname)s, %(pid)s, %(pid_namespace)s, %(lanes)s, %(slots)s)
"""


def register(
    tx: Tx,
    worker_id: UUID,
    *,
    hostname: str,
    pid: int,
    lanes: Sequence[str],
    slots: int,
    pid_namespace: str | None = None,
) -> None:
    """A worker process has started. Its id is new with every start: a restart inherits no lease.

    Workers with the same `pid_namespace` see each other's processes, and mark dead ones.
    """
    params = {
        "id": str(worker_id),
        "hostname": hostname,
        "pid": pid,
        "pid_namespace": pid_namespace,
        "lanes": list(lanes),
        "slots": slots,
    }
    run(tx, REGISTER, params)


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat learns."""

    known: bool
    """Whether the worker is still registered."""
    unwanted: list[UUID]
    """Its jobs that their owners have cancelled."""
    local_peers: Mapping[UUID, int]
    """Process ids of the other workers in its namespace, by worker."""


# One round trip per beat. A worker that beats is alive, so a mark that says otherwise is removed.
HEARTBEAT = """
WITH beat AS (
    UPDATE workers SET heartbeat_at = now(), stopped_at = NULL WHERE id = %(id)s
    RETURNING id, pid_namespace
)
SELECT EXISTS (SELECT FROM beat) AS known,
       ARRAY(SELECT id FROM jobs
              WHERE worker_id = %(id)s AND state = 'running' AND cancel_requested_at IS NOT NULL)
           AS unwanted,
       (SELECT coalesce(json_object_agg(w.id, w.pid), '{}')
          FROM workers w JOIN beat ON beat.pid_namespace = w.pid_namespace AND beat.id <> w.id
         WHERE w.stopped_at IS NULL) AS local_peers
"""


def heartbeat(tx: Tx, worker_id: UUID) -> Beat:
    """Extends the leases of the worker's jobs."""
    [row] = rows(tx, HEARTBEAT, {"id": str(worker_id)})
    return Beat(row.known, row.unwanted, {UUID(id): pid for id, pid in row.local_peers.items()})


def drain(tx: Tx, worker_id: UUID) -> None:
    """The worker takes no new jobs: its slots no longer count."""
    run(tx, "UPDATE workers SET draining_at = now() WHERE id = %(id)s", {"id": str(worker_id)})


def stop(tx: Tx, worker_id: UUID) -> None:
    """The worker has ended in order."""
    run(tx, "UPDATE workers SET stopped_at = now() WHERE id = %(id)s", {"id": str(worker_id)})


MARK_DEAD = """
UPDATE workers SET stopped_at = now()
 WHERE id = ANY(CAST(%(ids)s AS uuid[])) AND stopped_at IS NULL
RETURNING lanes
"""


def mark_dead(tx: Tx, worker_ids: Sequence[UUID]) -> set[str]:
    """The workers' processes are gone: their leases end now. Gives the lanes that they served."""
    return {lane for row in rows(tx, MARK_DEAD, {"ids": ids(worker_ids)}) for lane in row.lanes}


@dataclass(frozen=True, slots=True)
class Expired:
    """A running job whose worker is gone, or has not beaten for a whole lease."""

    job_id: UUID
    lease_token: int
    attempt: int
    max_attempts: int
    deaths: int
    worker_id: UUID


EXPIRED = """
SELECT j.id AS job_id, j.lease_token, j.attempt, j.max_attempts, j.deaths, j.worker_id
  FROM jobs j LEFT JOIN workers w ON w.id = j.worker_id
 WHERE j.state = 'running'
   AND (w.id IS NULL OR w.stopped_at IS NOT NULL
        OR w.heartbeat_at < now() - make_interval(secs => %(lease_s)s))
 ORDER BY j.id LIMIT 1000
"""


def expired(tx: Tx, lease_s: float) -> list[Expired]:
    """Jobs whose lease has run out, at most 1,000."""
    return [Expired(**row._asdict()) for row in rows(tx, EXPIRED, {"lease_s": lease_s})]


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as people see it."""

    id: UUID
    hostname: str
    pid: int
    lanes: list[str]
    slots: int
    running: int
    started_at: datetime
    heartbeat_at: datetime
    draining: bool
    live: bool


WORKERS = """
SELECT w.id, w.hostname, w.pid, w.lanes, w.slots, w.started_at, w.heartbeat_at,
       w.draining_at IS NOT NULL AS draining,
       w.heartbeat_at > now() - make_interval(secs => %(lease_s)s) AS live,
       (SELECT count(*) FROM jobs j WHERE j.worker_id = w.id AND j.state = 'running') AS running
  FROM workers w
 WHERE w.stopped_at IS NULL AND w.heartbeat_at > now() - interval '1 hour'
 ORDER BY w.started_at
"""


def workers(tx: Tx, lease_s: float) -> list[WorkerView]:
    """Workers that have not ended in order and were heard of within the hour."""
    return [WorkerView(**row._asdict()) for row in rows(tx, WORKERS, {"lease_s": lease_s})]


def forget_old(tx: Tx) -> int:
    """Deletes workers that ended or fell silent more than a day ago."""
    return run(
        tx,
        "DELETE FROM workers w WHERE w.heartbeat_at < now() - interval '1 day'"
        " AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.worker_id = w.id AND j.state = 'running')",
    )


HELD = """
SELECT id AS job_id, lease_token, attempt, max_attempts, deaths, worker_id FROM jobs
 WHERE state = 'running' AND worker_id = %(id)s
"""


def held(tx: Tx, worker_id: UUID) -> list[Expired]:
    """The jobs that a worker holds now, as far as Postgres knows."""
    return [Expired(**row._asdict()) for row in rows(tx, HELD, {"id": str(worker_id)})]


def database_time(tx: Tx) -> float:
    """Postgres' clock, in seconds since 1970: the one that decides leases."""
    return float(rows(tx, "SELECT extract(epoch FROM clock_timestamp())::float8 AS at")[0].at)
