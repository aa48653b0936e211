"""A claim writes one index entry of the running job where it wrote two; an archived call has one index, by its job.

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import OperationalError

revision = "0018"
down_revision = "0017"

LOCK_NOT_AVAILABLE = "55P03"
LOCK_S, PAUSE_S, PATIENCE_S = 0.2, 0.5, 600.0
"""Ends of jobs wait behind whoever waits for the table of calls, such as for a dump: so each try is short."""

LIVE_HINT = "state = 'queued' AND published_at IS NOT NULL"
IN_FLIGHT = f"state = 'running' OR ({LIVE_HINT})"
HELD = "CREATE INDEX CONCURRENTLY ix_jobs_held ON jobs (worker_id, lane) WHERE " + IN_FLIGHT
OF_CALL = "CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} (job_id, id, started_at)"
CALLS = "llm_calls_archive"
PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = to_regclass('llm_calls_archive') ORDER BY 1
"""
IS_VALID = "SELECT bool_or(indisvalid) FROM pg_index WHERE indexrelid = to_regclass(:name)"


def upgrade() -> None:
    """Programs of before find all by the new indexes. What one of them reads of a lane reads all that run."""
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE jobs SET (fillfactor = 50)")
        _build("ix_jobs_held", HELD)
        for name in ("ix_jobs_in_flight", "ix_jobs_leases"):
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        built = _partitions()
        for table in built:
            _build(_of_call(table), OF_CALL.format(name=_of_call(table), table=table))
    _key_calls(built)


def _build(name: str, statement: str) -> None:
    """While jobs come and go: the table is not locked. What an interrupted attempt left is no index, or a whole one."""
    if not op.get_bind().scalar(sa.text(IS_VALID), {"name": name}):
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(statement)


def _partitions() -> Sequence[str]:
    return op.get_bind().scalars(sa.text(PARTITIONS)).all()


def _of_call(table: str) -> str:
    return f"{table}_of_call"


def _key_calls(built: Sequence[str]) -> None:
    """Only catalogs are written, but for partitions that were made since: those are empty, as their time is to come."""
    _lock_calls()
    op.execute(f"ALTER TABLE {CALLS} DROP CONSTRAINT pk_{CALLS}")
    for table in set(_partitions()).intersection(built):
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY USING INDEX {_of_call(table)}"
        )
    op.execute(
        f"ALTER TABLE {CALLS} ADD CONSTRAINT pk_{CALLS} PRIMARY KEY (job_id, id, started_at)"
    )
    op.execute(f"DROP INDEX ix_{CALLS}_job_id")


def _lock_calls() -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            with op.get_bind().begin_nested():
                op.execute(f"SET LOCAL lock_timeout = '{LOCK_S:g}s'")
                op.execute(f"LOCK TABLE {CALLS} IN ACCESS EXCLUSIVE MODE")
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
    op.execute("ALTER TABLE jobs SET (fillfactor = 80)")
