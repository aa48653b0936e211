"""A job remembers since when it does nothing but wait, so that a wait for a provider has an end.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Programs of before leave it empty: their jobs wait for as long as they did."""
    op.add_column("jobs", sa.Column("deferred_since", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "deferred_since")
