"""Projects: the unit of isolation, limits and cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from factory.domain.job import new_id
from factory.store.database import Tx, rows


@dataclass(frozen=True, slots=True)
class Project:
    """A customer's or a team's own space."""

    id: UUID
    name: str
    created_at: datetime


# The update that changes nothing makes a second creator wait for the first and then read its row.
ENSURE = """
INSERT INTO projects (id, name) VALUES (%(id)s, %(name)s)
ON CONFLICT (name) DO UPDATE SET name = excluded.name
RETURNING id, name, created_at
"""


def ensure(tx: Tx, name: str) -> Project:
    """The project of that name, created if there is none."""
    return Project(**rows(tx, ENSURE, {"id": str(new_id()), "name": name})[0]._asdict())


def find(tx: Tx, name: str) -> Project | None:
    """The project of that name, or None."""
    statement = "SELECT id, name, created_at FROM projects WHERE name = %(name)s"
    found = rows(tx, statement, {"name": name})
    return Project(**found[0]._asdict()) if found else None
