"""An idempotency key keeps which jobs a request made, and no longer only what a face answered.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Gateways of before leave it null and read `answer`, which is still written. A release later that one goes."""
    op.add_column("idempotency_keys", sa.Column("accepted", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("idempotency_keys", "accepted")
