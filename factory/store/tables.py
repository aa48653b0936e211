"""The tables of live jobs. Alembic compares the migrations with the tables here and in `store.platform_tables`,
`store.knowledge_tables` and `store.archive_tables`; hot statements are written out beside their use.

`jobs` is hot and narrow; payloads and results live apart. The job_* tables carry no foreign key to
`jobs`: a job and its rows are written and moved together, in the end to `store.archive_tables`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from factory.domain.quarantine import QUARANTINE_DEATHS
from factory.store.metadata import metadata, when
from factory.store.optional_columns import optional_columns

LIVE_HINT = "state = 'queued' AND published_at IS NOT NULL"
ENDED = "state IN ('succeeded', 'failed', 'cancelled')"

jobs = Table(
    "jobs",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("project_id", UUID, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'queued'")),
    Column("lane", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text),
    Column("priority", Text, nullable=False),
    Column("attempt", SmallInteger, nullable=False, server_default=text("0")),
    Column("max_attempts", SmallInteger, nullable=False),
    Column("deferrals", Integer, nullable=False, server_default=text("0")),
    when("deferred_since"),
    Column("last_error", JSONB),
    Column("waiting_for", JSONB),
    Column("deaths", SmallInteger, nullable=False, server_default=text("0")),
    when("run_at", required=True),
    when("deadline_at"),
    when("published_at"),
    Column("publishes", SmallInteger, nullable=False, server_default=text("0")),
    Column("worker_id", UUID),
    Column("lease_token", BigInteger),
    Column("last_lease_token", BigInteger),
    Column("intent_id", UUID),
    Column("intent_token", BigInteger),
    when("cancel_requested_at"),
    Column("max_cost_micros", BigInteger),
    Column("ends_in_archive", Boolean),
    *optional_columns("jobs"),
    when("created_at", required=True),
    when("started_at"),
    when("finished_at"),
    CheckConstraint(
        "state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')",
        name="state",
    ),
    CheckConstraint("kind IN ('completion', 'embedding', 'search', 'webhook')", name="kind"),
    CheckConstraint("priority IN ('high', 'normal', 'low', 'bulk')", name="priority"),
    CheckConstraint("attempt BETWEEN 0 AND max_attempts", name="attempts"),
    CheckConstraint("(state = 'running') = (lease_token IS NOT NULL)", name="lease"),
    Index(
        "ix_jobs_due",
        "lane",
        "project_id",
        "run_at",
        "id",
        postgresql_where=text("state = 'queued' AND published_at IS NULL"),
    ),
    Index(
        "ix_jobs_suspects",
        "lane",
        "run_at",
        "id",
        postgresql_where=text(
            f"state = 'queued' AND published_at IS NULL AND deaths >= {QUARANTINE_DEATHS}"
        ),
    ),
    Index(
        "ix_jobs_held",
        "worker_id",
        "lane",
        postgresql_where=text(f"state = 'running' OR ({LIVE_HINT})"),
    ),
    Index("ix_jobs_hints", "published_at", postgresql_where=text(LIVE_HINT)),
    Index("ix_jobs_waiting", "lane", postgresql_where=text("state = 'waiting'")),
    Index(
        "ix_jobs_waits",
        text("(waiting_for ->> 'type')"),
        "run_at",
        "id",
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(
        "ix_jobs_waiting_deadlines",
        "deadline_at",
        postgresql_where=text("state = 'waiting' AND deadline_at IS NOT NULL"),
    ),
    Index(
        "ix_jobs_deadlines",
        "deadline_at",
        postgresql_where=text("state = 'queued' AND deadline_at IS NOT NULL"),
    ),
    Index("ix_jobs_finished", "finished_at", postgresql_where=text(ENDED)),
    Index("ix_jobs_listed", "project_id", "id"),
    Index(
        "ix_jobs_parent",
        "parent_id",
        postgresql_where=text("parent_id IS NOT NULL"),
    ),
    # Each row is updated once or twice in its life, by its claim above all: its new version fits beside it.
    postgresql_with={"fillfactor": "50"},
)

job_requests = Table(
    "job_requests",
    metadata,
    Column("job_id", UUID, primary_key=True),
    Column("project_id", UUID),
    Column("input", JSONB, nullable=False),
    Column("params", JSONB, nullable=False, server_default=text("'{}'")),
    Column("fallbacks", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("metadata", JSONB, nullable=False, server_default=text("'{}'")),
    Column("webhook_url", Text),
    *optional_columns("job_requests"),
    Index(
        "ix_job_requests_metadata",
        "metadata",
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=text("metadata <> '{}'"),
    ),
)

job_outcomes = Table(
    "job_outcomes",
    metadata,
    Column("job_id", UUID, primary_key=True),
    Column("project_id", UUID),
    Column("output", JSONB),
    Column("error", JSONB),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("cost_micros", BigInteger),
    Column("unknown_calls", Integer, nullable=False),
)

job_steps = Table(
    "job_steps",
    metadata,
    Column("job_id", UUID, primary_key=True),
    Column("project_id", UUID),
    Column("step_key", Text, primary_key=True),
    Column("output", JSONB, nullable=False),
    when("finished_at", required=True),
)

llm_calls = Table(
    "llm_calls",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("job_id", UUID, nullable=False, index=True),
    Column("project_id", UUID, nullable=False),
    Column("step_key", Text, nullable=False),
    Column("attempt", SmallInteger, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    when("started_at", required=True),
    when("finished_at"),
    Column("status", Text, nullable=False, server_default=text("'open'")),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("http_status", SmallInteger),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("cost_micros", BigInteger),
    Column("latency_ms", Integer),
    CheckConstraint("status IN ('open', 'succeeded', 'failed')", name="status"),
    Index("ix_llm_calls_open", "job_id", postgresql_where=text("status = 'open'")),
)

hints = Table(
    "hints",
    metadata,
    Column("lane", Text, primary_key=True),
    Column("job_id", UUID, primary_key=True),
    Column("project_id", UUID, nullable=False),
    Column("is_quarantined", Boolean, nullable=False),
    Column("publishes", SmallInteger, nullable=False),
    when("published_at", required=True),
    prefixes=["UNLOGGED"],
    postgresql_with={
        "autovacuum_vacuum_scale_factor": "0",
        "autovacuum_vacuum_threshold": "1000",
        "autovacuum_vacuum_cost_delay": "0",
    },
)
"""What is out in Redis, and as lossy: a crash of Postgres empties the table. A standby cannot read it."""
