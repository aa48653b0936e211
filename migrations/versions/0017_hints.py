"""What is out in Redis leaves the rows of jobs: a table that is not logged.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Programs of before do not know the table: they mark jobs in `jobs.published_at`, and such marks count as well."""
    op.create_table(
        "hints",
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("job_id", UUID(), nullable=False),
        sa.Column("project_id", UUID(), nullable=False),
        sa.Column("is_quarantined", sa.Boolean(), nullable=False),
        sa.Column("publishes", sa.SmallInteger(), nullable=False),
        sa.Column(
            "published_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("lane", "job_id", name="pk_hints"),
        prefixes=["UNLOGGED"],
        postgresql_with={
            "autovacuum_vacuum_scale_factor": "0",
            "autovacuum_vacuum_threshold": "1000",
            "autovacuum_vacuum_cost_delay": "0",
        },
    )


def downgrade() -> None:
    """All hints go out again."""
    op.drop_table("hints")
