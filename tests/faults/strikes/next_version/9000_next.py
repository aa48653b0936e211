"""The migration of a deploy to come: it adds a column, an index and a table, while all is running.

Revision ID: 9000
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from factory.store.schema import newest_revision

revision = "9000"
down_revision = newest_revision()


def upgrade() -> None:
    op.add_column(
        "jobs", sa.Column("next_note", sa.Text(), nullable=False, server_default="none yet")
    )
    op.create_table("next_notes", sa.Column("job_id", sa.UUID(), primary_key=True))
    with op.get_context().autocommit_block():
        op.create_index("ix_jobs_next_note", "jobs", ["next_note"], postgresql_concurrently=True)


def downgrade() -> None:
    op.drop_index("ix_jobs_next_note", "jobs")
    op.drop_table("next_notes")
    op.drop_column("jobs", "next_note")
