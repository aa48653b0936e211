"""Retention: ended jobs move to partitions by time, which are dropped when they have had theirs.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

FINISHED = "state IN ('succeeded', 'failed', 'cancelled')"
# What has been archived goes back to where revision 0001 looks for it. A job whose content has expired
# keeps its usage; its input and output are gone for good.
TO_JOBS = """
INSERT INTO jobs (id, project_id, kind, state, lane, provider, model, agent, agent_version, priority,
                  attempt, max_attempts, deferrals, deaths, run_at, deadline_at, cancel_requested_at,
                  max_cost_micros, parent_id, task_id, created_at, started_at, finished_at)
SELECT id, project_id, kind, state, lane, provider, model, agent, agent_version, priority, attempt,
       max_attempts, deferrals, deaths, run_at, deadline_at, cancel_requested_at, max_cost_micros,
       parent_id, task_id, created_at, started_at, finished_at
  FROM jobs_archive
"""
TO_PAYLOADS = """
INSERT INTO job_payloads (job_id, input, params, fallbacks, metadata, webhook_url, traceparent)
SELECT a.id, coalesce(c.input, '{}'), coalesce(c.params, '{}'), coalesce(c.fallbacks, '{}'),
       a.metadata, c.webhook_url, a.traceparent
  FROM jobs_archive a
  LEFT JOIN job_contents c ON c.job_id = a.id AND c.finished_at = a.finished_at
"""
TO_RESULTS = """
INSERT INTO job_results (job_id, output, error, input_tokens, output_tokens, cached_tokens, cost_micros,
                         unknown_calls)
SELECT a.id, c.output, c.error, a.input_tokens, a.output_tokens, a.cached_tokens, a.cost_micros,
       a.unknown_calls
  FROM jobs_archive a
  LEFT JOIN job_contents c ON c.job_id = a.id AND c.finished_at = a.finished_at
"""
TO_STEPS = """
INSERT INTO job_steps (job_id, step_key, output)
SELECT c.job_id, s.key, s.value FROM job_contents c CROSS JOIN LATERAL jsonb_each(c.steps) s
ON CONFLICT (job_id, step_key) DO NOTHING
"""
TO_CALLS = """
INSERT INTO llm_calls (id, job_id, project_id, step_key, attempt, provider, model, started_at,
                       finished_at, status, error_type, http_status, input_tokens, output_tokens,
                       cached_tokens, cost_micros, latency_ms)
SELECT id, job_id, project_id, step_key, attempt, provider, model, started_at, finished_at, status,
       error_type, http_status, input_tokens, output_tokens, cached_tokens, cost_micros, latency_ms
  FROM llm_calls_archive
"""


def upgrade() -> None:
    _create_jobs()
    _create_contents()
    _create_calls()
    for table in ("jobs_archive", "job_contents", "llm_calls_archive"):
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    _create_index("ix_jobs_finished", "jobs", "finished_at", FINISHED)
    _create_index("ix_idempotency_keys_created_at", "idempotency_keys", "created_at", None)


def _create_index(name: str, table: str, column: str, where: str | None) -> None:
    """While jobs come and go: the table is not locked. What an interrupted attempt left is no index."""
    with op.get_context().autocommit_block():
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
        op.create_index(
            name,
            table,
            [column],
            postgresql_where=sa.text(where) if where else None,
            postgresql_concurrently=True,
        )


def _create_jobs() -> None:
    op.create_table(
        "jobs_archive",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("agent_version", sa.Integer(), nullable=True),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("max_attempts", sa.SmallInteger(), nullable=False),
        sa.Column("deferrals", sa.Integer(), nullable=False),
        sa.Column("deaths", sa.SmallInteger(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("max_cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("parent_id", sa.UUID(), nullable=True),
        sa.Column("task_id", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("unknown_calls", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", "finished_at", name=op.f("pk_jobs_archive")),
        postgresql_partition_by="RANGE (finished_at)",
    )
    op.create_index(
        "ix_jobs_archive_project", "jobs_archive", ["project_id", sa.literal_column("id DESC")]
    )
    op.create_index(
        "ix_jobs_archive_metadata",
        "jobs_archive",
        ["metadata"],
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=sa.text("metadata <> '{}'"),
    )


def _create_contents() -> None:
    op.create_table(
        "job_contents",
        sa.Column("job_id", sa.UUID(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("input", postgresql.JSONB(), nullable=False),
        sa.Column("params", postgresql.JSONB(), nullable=False),
        sa.Column("fallbacks", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("webhook_url", sa.Text(), nullable=True),
        sa.Column("output", postgresql.JSONB(), nullable=True),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.Column("steps", postgresql.JSONB(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "finished_at", name=op.f("pk_job_contents")),
        postgresql_partition_by="RANGE (finished_at)",
    )


def _create_calls() -> None:
    op.create_table(
        "llm_calls_archive",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("job_id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.UUID(), nullable=False),
        sa.Column("step_key", sa.Text(), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("http_status", sa.SmallInteger(), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", "started_at", name=op.f("pk_llm_calls_archive")),
        postgresql_partition_by="RANGE (started_at)",
    )
    op.create_index("ix_llm_calls_archive_job_id", "llm_calls_archive", ["job_id"])
    op.create_index("ix_llm_calls_archive_started_at", "llm_calls_archive", ["started_at"])
    op.create_index(
        "ix_llm_calls_archive_open",
        "llm_calls_archive",
        ["job_id"],
        postgresql_where=sa.text("status = 'open'"),
    )


def downgrade() -> None:
    for statement in (TO_JOBS, TO_PAYLOADS, TO_RESULTS, TO_STEPS, TO_CALLS):
        op.execute(statement)
    op.drop_index("ix_idempotency_keys_created_at", "idempotency_keys")
    op.drop_index("ix_jobs_finished", "jobs")
    for table in ("llm_calls_archive", "job_contents", "jobs_archive"):
        op.drop_table(table)
