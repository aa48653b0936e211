"""A job remembers which lease moved it last, so that a finish that is made again is known as made.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("last_lease_token", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "last_lease_token")
