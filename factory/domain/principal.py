"""Who asks: made where a request or a program begins, and passed down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller, several callers whom one statement serves, or the platform itself."""

    projects: frozenset[UUID]
    """The projects that it may see. A transaction names them to Postgres."""
    subject: str
    """Who it is, such as `key:3f9ac2d1b07e`."""
    scopes: frozenset[str] = frozenset()
    """What it may do. A newer version may know others than `Scope` has."""

    @property
    def project_id(self) -> UUID:
        """The project of a caller. Raises ValueError if there is not exactly one."""
        [project_id] = self.projects
        return project_id


PLATFORM = Principal(frozenset(), "platform")
"""The platform's own programs, which serve all projects and name none."""


def together(principals: Sequence[Principal]) -> Principal:
    """One for a statement that serves all of these; at least one."""
    if len(principals) == 1:
        return principals[0]
    projects = frozenset[UUID]().union(*(one.projects for one in principals))
    return Principal(projects, "several")
