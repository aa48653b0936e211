"""A job that waits says for what, and is found when that has come or its deadline has.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

WAITS = ("ix_jobs_waits", ["(waiting_for ->> 'type')", "run_at", "id"], "state = 'waiting'")
DEADLINES = (
    "ix_jobs_waiting_deadlines",
    ["deadline_at"],
    "state = 'waiting' AND deadline_at IS NOT NULL",
)


def upgrade() -> None:
    """Programs of before make no job wait. One that ends a child leaves its parent to the dispatchers' search."""
    # Again after an interrupted attempt: the column is committed before the indexes are built.
    op.execute("ALTER TABLE jobs ADD COLUMN IF NOT EXISTS waiting_for jsonb")
    for name, columns, where in (WAITS, DEADLINES):
        _create_index(name, columns, where)


def _create_index(name: str, columns: list[str], where: str) -> None:
    """While jobs come and go: the table is not locked. What an interrupted attempt left is no index."""
    with op.get_context().autocommit_block():
        op.drop_index(name, "jobs", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            name,
            "jobs",
            [sa.text(column) for column in columns],
            postgresql_where=sa.text(where),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    for name, _columns, _where in (WAITS, DEADLINES):
        op.drop_index(name, "jobs")
    op.drop_column("jobs", "waiting_for")
