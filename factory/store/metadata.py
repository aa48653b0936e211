"""What all tables share: names of constraints, and columns that hold a time."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, MetaData, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

NOW = text("now()")


def when(name: str, *, required: bool = False) -> Column[object]:
    """A time with its zone; a required one is now unless it is given."""
    return Column(
        name,
        DateTime(timezone=True),
        nullable=not required,
        server_default=NOW if required else None,
    )
