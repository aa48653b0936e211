"""The columns of a job's optional fields, as tables and statements name them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, Integer, Text
from sqlalchemy.dialects.postgresql import UUID

from factory.domain.job_fields import OPTIONAL, JobTable

SQL_TYPES = {"uuid": UUID, "text": Text, "integer": Integer}


def optional_columns(table: JobTable) -> list[Column[object]]:
    """The columns of the fields that are stored in `table`."""
    return [Column(name, SQL_TYPES[OPTIONAL[name].sql]) for name in names_in(table)]


def names_in(table: JobTable) -> tuple[str, ...]:
    """The names of the fields that are stored in `table`."""
    return tuple(name for name, one in OPTIONAL.items() if one.table == table)


def column_list(names: Iterable[str], source: str = "") -> str:
    """The names as a statement lists them: `task_id, traceparent`, or `j.task_id, j.traceparent` for source `j`."""
    return ", ".join(f"{source}.{name}" if source else name for name in names)


JOBS = names_in("jobs")
PAYLOADS = names_in("job_requests")
