"""The schema. Alembic compares the migrations with this; hot statements are written out beside their use.

`jobs` is hot and narrow; payloads and results live apart. The job_* tables carry no foreign key to
`jobs`: a job and its rows are written and moved together, in the end to `store.archive_tables`.
"""

from __future__ import annotations

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from factory.domain.quarantine import QUARANTINE_DEATHS

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
LIVE_HINT = "state = 'queued' AND published_at IS NOT NULL"
ENDED = "state IN ('succeeded', 'failed', 'cancelled')"


def _when(name: str, *, required: bool = False) -> Column[object]:
    return Column(
        name,
        DateTime(timezone=True),
        nullable=not required,
        server_default=NOW if required else None,
    )


projects = Table(
    "projects",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    _when("created_at", required=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("project_id", UUID, ForeignKey("projects.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False, unique=True),
    Column("secret_hash", Text, nullable=False),
    Column("secret_hashes", JSONB, nullable=False, server_default=text("'{}'")),
    Column("scopes", ARRAY(Text), nullable=False, server_default=text("'{jobs}'")),
    _when("created_at", required=True),
    _when("expires_at"),
    _when("revoked_at"),
)

agents = Table(
    "agents",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("active_version", Integer, nullable=False),
    Column("file", Text),
    _when("retired_at"),
    _when("created_at", required=True),
)

agent_versions = Table(
    "agent_versions",
    metadata,
    Column("agent_id", UUID, ForeignKey("agents.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("spec", JSONB, nullable=False),
    Column("spec_hash", Text, nullable=False),
    _when("created_at", required=True),
)

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
    Column("agent", Text),
    Column("agent_version", Integer),
    Column("priority", Text, nullable=False),
    Column("attempt", SmallInteger, nullable=False, server_default=text("0")),
    Column("max_attempts", SmallInteger, nullable=False),
    Column("deferrals", Integer, nullable=False, server_default=text("0")),
    _when("deferred_since"),
    Column("last_error", JSONB),
    Column("deaths", SmallInteger, nullable=False, server_default=text("0")),
    _when("run_at", required=True),
    _when("deadline_at"),
    _when("published_at"),
    Column("publishes", SmallInteger, nullable=False, server_default=text("0")),
    Column("worker_id", UUID),
    Column("lease_token", BigInteger),
    Column("last_lease_token", BigInteger),
    _when("cancel_requested_at"),
    Column("max_cost_micros", BigInteger),
    Column("parent_id", UUID),
    Column("task_id", UUID),
    _when("created_at", required=True),
    _when("started_at"),
    _when("finished_at"),
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
        "ix_jobs_in_flight",
        "lane",
        "project_id",
        postgresql_where=text(f"state = 'running' OR ({LIVE_HINT})"),
    ),
    Index("ix_jobs_hints", "published_at", postgresql_where=text(LIVE_HINT)),
    Index("ix_jobs_leases", "worker_id", postgresql_where=text("state = 'running'")),
    Index("ix_jobs_waiting", "lane", postgresql_where=text("state = 'waiting'")),
    Index(
        "ix_jobs_deadlines",
        "deadline_at",
        postgresql_where=text("state = 'queued' AND deadline_at IS NOT NULL"),
    ),
    Index("ix_jobs_finished", "finished_at", postgresql_where=text(ENDED)),
    Index("ix_jobs_project", "project_id", text("id DESC")),
    Index(
        "ix_jobs_parent",
        "parent_id",
        postgresql_where=text("parent_id IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": "80"},
)

job_payloads = Table(
    "job_payloads",
    metadata,
    Column("job_id", UUID, primary_key=True),
    Column("input", JSONB, nullable=False),
    Column("params", JSONB, nullable=False, server_default=text("'{}'")),
    Column("fallbacks", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("metadata", JSONB, nullable=False, server_default=text("'{}'")),
    Column("webhook_url", Text),
    Column("traceparent", Text),
    Index(
        "ix_job_payloads_metadata",
        "metadata",
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=text("metadata <> '{}'"),
    ),
)

job_results = Table(
    "job_results",
    metadata,
    Column("job_id", UUID, primary_key=True),
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
    Column("step_key", Text, primary_key=True),
    Column("output", JSONB, nullable=False),
    _when("finished_at", required=True),
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
    _when("started_at", required=True),
    _when("finished_at"),
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
    Index("ix_llm_calls_started_at", "started_at"),
    Index("ix_llm_calls_open", "job_id", postgresql_where=text("status = 'open'")),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("project_id", UUID, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", Text, nullable=False),
    Column("job_id", UUID),
    Column("answer", JSONB),
    _when("created_at", required=True),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("hostname", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_namespace", Text),
    Column("lanes", ARRAY(Text), nullable=False),
    Column("slots", Integer, nullable=False),
    _when("started_at", required=True),
    _when("heartbeat_at", required=True),
    _when("draining_at"),
    _when("stopped_at"),
    Index("ix_workers_live", "heartbeat_at", postgresql_where=text("stopped_at IS NULL")),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("project_id", UUID, nullable=False),
    Column("job_id", UUID, nullable=False, index=True),
    Column("attempt", SmallInteger, nullable=False),
    Column("url", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("http_status", SmallInteger),
    Column("error", Text),
    Column("duration_ms", Integer, nullable=False),
    _when("created_at", required=True),
)

backlog = Table(
    "backlog",
    metadata,
    Column("project_id", UUID, primary_key=True),
    Column("queued", BigInteger, nullable=False),
    Column("drained_per_s", Double, nullable=False),
    _when("measured_at", required=True),
)

restores = Table(
    "restores",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("backup", Text, nullable=False),
    Column("restored_to", DateTime(timezone=True), nullable=False),
    _when("restored_at", required=True),
    _when("decided_at"),
    Column("decision", Text),
)
"""Each time that this database came out of a backup. While one is undecided, no job is published or claimed."""

backups = Table(
    "backups",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    _when("verified_at"),
)
"""The newest backup of each kind."""

counters = Table(
    "counters",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("metric", Text, nullable=False),
    Column("labels", JSONB, nullable=False),
    Column("amount", Double, nullable=False),
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("project_id", UUID, nullable=False),
    Column("job_id", UUID, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("start_offset", Integer, nullable=False),
    Column("end_offset", Integer, nullable=False),
    Column("content", Text, nullable=False),
    _when("created_at", required=True),
    UniqueConstraint("job_id", "ordinal"),
    Index("ix_chunks_project", "project_id"),
)


embeddings = Table(
    "embeddings",
    metadata,
    Column("model", Text, primary_key=True),
    Column("chunk_id", UUID, primary_key=True),
    Column("project_id", UUID, nullable=False),
    Column("embedding", VECTOR, nullable=False),
    Index("ix_embeddings_project", "project_id", "model"),
    postgresql_partition_by="LIST (model)",
)
"""One partition per model, each with its own HNSW index; models without one land in the default partition."""
