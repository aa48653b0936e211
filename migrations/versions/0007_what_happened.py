"""What happened to a job is kept where its owner can read it: each call's error, the last error of a job that
waits, and which job carries its event.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Programs of before leave the columns empty."""
    op.add_column("jobs", sa.Column("last_error", JSONB(), nullable=True))
    op.add_column("llm_calls", sa.Column("error_message", sa.Text(), nullable=True))
    op.add_column("llm_calls_archive", sa.Column("error_message", sa.Text(), nullable=True))
    op.add_column("jobs_archive", sa.Column("webhook_job_id", UUID(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs_archive", "webhook_job_id")
    op.drop_column("llm_calls_archive", "error_message")
    op.drop_column("llm_calls", "error_message")
    op.drop_column("jobs", "last_error")
