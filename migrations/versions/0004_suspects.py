"""Jobs in quarantine are found without a look at all that is queued.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

INDEX = "ix_jobs_suspects"


def upgrade() -> None:
    """While jobs come and go: the table is not locked. What an interrupted attempt left is no index."""
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, "jobs", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            INDEX,
            "jobs",
            ["lane", "run_at", "id"],
            postgresql_where=sa.text("state = 'queued' AND published_at IS NULL AND deaths >= 2"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.drop_index(INDEX, "jobs")
