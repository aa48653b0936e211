"""A claim writes one index entry of the running job where it wrote two; an archived call has one index, by its job; lists
of jobs have their indexes in the order in which jobs come.

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import OperationalError

revision = "0018"
down_revision = "0017"

LOCK_NOT_AVAILABLE = "55P03"
LOCK_S, PAUSE_S, PATIENCE_S = 0.2, 0.5, 600.0
"""Ends of jobs wait behind whoever waits for a table of the archive, such as for a dump: so each try is short."""

LIVE_HINT = "state = 'queued' AND published_at IS NOT NULL"
IN_FLIGHT = f"state = 'running' OR ({LIVE_HINT})"
HELD = "CREATE INDEX CONCURRENTLY ix_jobs_held ON jobs (worker_id, lane) WHERE " + IN_FLIGHT
OF_CALL = "CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} (job_id, id, started_at)"
LISTED = "CREATE INDEX CONCURRENTLY {name} ON {table} (project_id, id)"
"""A project's newest job comes last: pages fill up, and are split at their end."""
CALLS, ARCHIVE = "llm_calls_archive", "jobs_archive"
PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = to_regclass(:table) ORDER BY 1
"""
IS_VALID = "SELECT bool_or(indisvalid) FROM pg_index WHERE indexrelid = to_regclass(:name)"


def upgrade() -> None:
    """Programs of before find all by the new indexes. What one of them reads of a lane reads all that run."""
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE jobs SET (fillfactor = 50)")
        _build("ix_jobs_held", HELD)
        for name in ("ix_jobs_in_flight", "ix_jobs_leases"):
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        _build("ix_jobs_listed", LISTED.format(name="ix_jobs_listed", table="jobs"))
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_jobs_project")
        for table in _partitions(ARCHIVE):
            _build(f"{table}_listed", LISTED.format(name=f"{table}_listed", table=table))
        built = _partitions(CALLS)
        for table in built:
            _build(_of_call(table), OF_CALL.format(name=_of_call(table), table=table))
        _patiently(_list_archive)
    _patiently(_lock_calls)
    _key_calls(built)


def _build(name: str, statement: str) -> None:
    """While jobs come and go: the table is not locked. What an interrupted attempt left is no index, or a whole one."""
    if not op.get_bind().scalar(sa.text(IS_VALID), {"name": name}):
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(statement)


def _partitions(table: str) -> Sequence[str]:
    return op.get_bind().scalars(sa.text(PARTITIONS), {"table": table}).all()


def _of_call(table: str) -> str:
    return f"{table}_of_call"


def _key_calls(built: Sequence[str]) -> None:
    """Only catalogs are written, but for partitions that were made since: those are empty, as their time is to come."""
    op.execute(f"ALTER TABLE {CALLS} DROP CONSTRAINT pk_{CALLS}")
    for table in set(_partitions(CALLS)).intersection(built):
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY USING INDEX {_of_call(table)}"
        )
    op.execute(
        f"ALTER TABLE {CALLS} ADD CONSTRAINT pk_{CALLS} PRIMARY KEY (job_id, id, started_at)"
    )
    op.execute(f"DROP INDEX ix_{CALLS}_job_id")


def _list_archive() -> None:
    """One transaction, as it travels as one text. The partitions' indexes become those of the table."""
    op.execute(
        f"SET LOCAL lock_timeout = '{LOCK_S:g}s';"
        f"CREATE INDEX IF NOT EXISTS ix_{ARCHIVE}_listed ON {ARCHIVE} (project_id, id);"
        f"DROP INDEX IF EXISTS ix_{ARCHIVE}_project"
    )


def _lock_calls() -> None:
    with op.get_bind().begin_nested():
        op.execute(f"SET LOCAL lock_timeout = '{LOCK_S:g}s'")
        op.execute(f"LOCK TABLE {CALLS} IN ACCESS EXCLUSIVE MODE")


def _patiently(step: Callable[[], None]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            step()
            return
        except OperationalError as error:
            if not _was_locked(error) or time.monotonic() > give_up_at:
                raise
        time.sleep(PAUSE_S)


def _was_locked(error: OperationalError) -> bool:
    return getattr(error.orig, "pgcode", None) == LOCK_NOT_AVAILABLE


def downgrade() -> None:
    op.execute(f"ALTER TABLE {CALLS} DROP CONSTRAINT pk_{CALLS}")
    op.execute(f"ALTER TABLE {CALLS} ADD CONSTRAINT pk_{CALLS} PRIMARY KEY (id, started_at)")
    op.create_index(f"ix_{CALLS}_job_id", CALLS, ["job_id"])
    op.execute(f"CREATE INDEX ix_jobs_in_flight ON jobs (lane, project_id) WHERE {IN_FLIGHT}")
    op.execute("CREATE INDEX ix_jobs_leases ON jobs (worker_id) WHERE state = 'running'")
    op.drop_index("ix_jobs_held", "jobs")
    for table in ("jobs", ARCHIVE):
        op.create_index(f"ix_{table}_project", table, ["project_id", sa.literal_column("id DESC")])
        op.drop_index(f"ix_{table}_listed", table)
    op.execute("ALTER TABLE jobs SET (fillfactor = 80)")
