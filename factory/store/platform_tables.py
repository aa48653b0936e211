"""Tables beside the jobs: projects and keys, agents, workers, counters, backups."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from factory.store.metadata import metadata, when

projects = Table(
    "projects",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    when("created_at", required=True),
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
    when("created_at", required=True),
    when("expires_at"),
    when("revoked_at"),
)

agents = Table(
    "agents",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("active_version", Integer, nullable=False),
    Column("file", Text),
    when("retired_at"),
    when("created_at", required=True),
)

agent_versions = Table(
    "agent_versions",
    metadata,
    Column("agent_id", UUID, ForeignKey("agents.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("spec", JSONB, nullable=False),
    Column("spec_hash", Text, nullable=False),
    when("created_at", required=True),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("project_id", UUID, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", Text, nullable=False),
    Column("job_id", UUID),
    Column("answer", JSONB),
    Column("accepted", JSONB),
    when("created_at", required=True),
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
    when("started_at", required=True),
    when("heartbeat_at", required=True),
    when("draining_at"),
    when("stopped_at"),
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
    when("created_at", required=True),
)

backlog = Table(
    "backlog",
    metadata,
    Column("project_id", UUID, primary_key=True),
    Column("queued", BigInteger, nullable=False),
    Column("drained_per_s", Double, nullable=False),
    when("measured_at", required=True),
)

restores = Table(
    "restores",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("backup", Text, nullable=False),
    Column("restored_to", DateTime(timezone=True), nullable=False),
    when("restored_at", required=True),
    when("decided_at"),
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
    when("verified_at"),
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
