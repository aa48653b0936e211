"""An API key's hash under each SECRET_KEY that is in use, so that the secret can be replaced while all run.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Programs of before read and write `secret_hash` alone, which stays good for them."""
    op.add_column(
        "api_keys",
        sa.Column("secret_hashes", JSONB(), nullable=False, server_default=sa.text("'{}'")),
    )


def downgrade() -> None:
    op.drop_column("api_keys", "secret_hashes")
