"""A job that succeeds goes to the archive by the statement that ends it. Two indexes that nothing reads are gone.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Programs of before leave both columns null. Their gateways look for the end of a job that a client waits for
    among the live ones, so a job that one of them accepted stays there when it ends.
    """
    # Again after an interrupted attempt: the columns are committed before the index is dropped.
    op.execute("ALTER TABLE jobs ADD COLUMN IF NOT EXISTS ends_in_archive boolean")
    op.execute("ALTER TABLE jobs_archive ADD COLUMN IF NOT EXISTS last_lease_token bigint")
    op.execute("DROP INDEX IF EXISTS ix_llm_calls_archive_started_at")
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_llm_calls_started_at")


def downgrade() -> None:
    op.create_index("ix_llm_calls_started_at", "llm_calls", ["started_at"])
    op.create_index("ix_llm_calls_archive_started_at", "llm_calls_archive", ["started_at"])
    op.drop_column("jobs_archive", "last_lease_token")
    op.drop_column("jobs", "ends_in_archive")
