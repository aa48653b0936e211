"""The optional fields of a job: what it is given at its submission and shows unchanged until it is deleted.

A field is declared here, and its column is added by a migration. All else is made of the declaration: the column's
place in the tables and the archive, the insert, the job's views and its event, what the API takes and shows, and the
option of `factory submit`. `tests/unit/test_job_fields.py` walks all these places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal, get_type_hints
from uuid import UUID

KEY = "job_field"
SqlType = Literal["uuid", "text", "integer"]
JobTable = Literal["jobs", "job_requests"]


@dataclass(frozen=True, slots=True)
class JobField:
    """Where an optional field is stored, and what callers read about it."""

    sql: SqlType
    table: JobTable = "jobs"
    """`jobs` is what the dispatcher reads all the time: only what it needs, or what is tiny, belongs there. Either way
    the archive keeps the field as long as the job itself."""
    asked: str | None = None
    """What the API and the CLI say of it, to take it from callers and show it unchanged. None: the platform sets it,
    and whoever shows it does so in words of its own."""
    bounds: Mapping[str, Any] = field(default_factory=dict)
    """What values are taken, as arguments of `pydantic.Field`; a text needs `max_length`."""


def _stored(
    sql: SqlType, table: JobTable = "jobs", asked: str | None = None, **bounds: Any
) -> Mapping[str, JobField]:
    return {KEY: JobField(sql, table, asked, bounds)}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionalFields:
    """What a new job has and a stored one shows; None where it was not given."""

    agent: str | None = field(default=None, metadata=_stored("text"))
    agent_version: int | None = field(default=None, metadata=_stored("integer"))
    parent_id: UUID | None = field(default=None, metadata=_stored("uuid"))
    task_id: UUID | None = field(
        default=None,
        metadata=_stored("uuid", asked="An id of your own (a UUID), shown with the job."),
    )
    traceparent: str | None = field(default=None, metadata=_stored("text", "job_requests"))


OPTIONAL: Mapping[str, JobField] = {one.name: one.metadata[KEY] for one in fields(OptionalFields)}
"""The fields by name."""
ASKED: Mapping[str, JobField] = {name: one for name, one in OPTIONAL.items() if one.asked}
"""Those that callers give."""
TYPES: Mapping[str, Any] = get_type_hints(OptionalFields)
"""The type of each in Python."""


_read = attrgetter(*OPTIONAL)


def optional_values(job: OptionalFields) -> dict[str, Any]:
    """The job's optional fields by name."""
    return dict(zip(OPTIONAL, _read(job), strict=True))
