"""A worker tells in which namespace its process id is one, so that its neighbours can see that it has died.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Workers of before have none, and are judged by their leases alone."""
    op.add_column("workers", sa.Column("pid_namespace", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("workers", "pid_namespace")
