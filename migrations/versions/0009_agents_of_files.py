"""An agent knows the file that it came from, and may be retired: nothing new may name it then.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Programs of before go on to serve an agent that was retired."""
    op.add_column("agents", sa.Column("file", sa.Text(), nullable=True))
    op.add_column("agents", sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("agents", "retired_at")
    op.drop_column("agents", "file")
