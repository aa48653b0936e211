"""A database that was restored from a backup says so, and holds its jobs; backups leave a trace for the alert.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Programs of before neither read nor write these; update them before you restore anything."""
    op.create_table(
        "restores",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("backup", sa.Text(), nullable=False),
        sa.Column("restored_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "restored_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restores")),
    )
    op.create_table(
        "backups",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_backups")),
    )


def downgrade() -> None:
    op.drop_table("backups")
    op.drop_table("restores")
