"""The archive of ended jobs: three tables partitioned by time, each with a default partition.

`store.successes` and `store.archive` write rows here, `store.partitions` makes and drops the partitions. Nothing that
a live job does on its way reads these.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from factory.store.metadata import metadata
from factory.store.optional_columns import optional_columns
from factory.store.tables import jobs, llm_calls

LIVE = {
    "published_at",
    "publishes",
    "worker_id",
    "lease_token",
    "deferred_since",
    "last_error",
    "waiting_for",
    "ends_in_archive",
    "intent_id",
    "intent_token",
}
"""Columns that only a live job has."""


def _like(table: Table, moment: str, *, without: set[str] | None = None) -> list[Column[object]]:
    """The table's columns; `moment` is the one that decides a row's partition."""
    return [
        Column(one.name, one.type, nullable=one.nullable and one.name != moment)
        for one in table.columns
        if one.name not in (without or set())
    ]


jobs_archive = Table(
    "jobs_archive",
    metadata,
    *_like(jobs, "finished_at", without=LIVE),
    Column("metadata", JSONB, nullable=False),
    Column("webhook_job_id", UUID),
    *optional_columns("job_requests"),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("cost_micros", BigInteger),
    Column("unknown_calls", Integer, nullable=False),
    PrimaryKeyConstraint("id", "finished_at"),
    Index("ix_jobs_archive_listed", "project_id", "id"),
    Index(
        "ix_jobs_archive_metadata",
        "metadata",
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=text("metadata <> '{}'"),
    ),
    postgresql_partition_by="RANGE (finished_at)",
)
"""An ended job and what it used, for as long as reports may ask: one partition a month."""

job_contents = Table(
    "job_contents",
    metadata,
    Column("job_id", UUID, nullable=False),
    Column("project_id", UUID),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    Column("input", JSONB, nullable=False),
    Column("params", JSONB, nullable=False),
    Column("fallbacks", ARRAY(Text), nullable=False),
    Column("webhook_url", Text),
    Column("output", JSONB),
    Column("error", JSONB),
    Column("steps", JSONB),
    PrimaryKeyConstraint("job_id", "finished_at"),
    postgresql_partition_by="RANGE (finished_at)",
)
"""What was asked and answered: large, confidential and kept for weeks only. One partition a day."""

llm_calls_archive = Table(
    "llm_calls_archive",
    metadata,
    *_like(llm_calls, "started_at"),
    PrimaryKeyConstraint("job_id", "id", "started_at"),
    Index("ix_llm_calls_archive_open", "job_id", postgresql_where=text("status = 'open'")),
    postgresql_partition_by="RANGE (started_at)",
)
"""The calls of archived jobs, by when they began: one partition a month."""
