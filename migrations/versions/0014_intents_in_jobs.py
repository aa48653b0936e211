"""The intent of a job's first call stands in the job's row, and moves to the journal when the lease is taken away.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0014"
down_revision = "0013"

# For programs of before as well, which know neither the columns nor what they hold. What such a program writes of a
# job's usage when it ends the job misses the call, as the statement does not see it yet.
FUNCTION = """
CREATE FUNCTION journal_intent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO llm_calls (id, job_id, project_id, step_key, attempt, provider, model, started_at)
    VALUES (OLD.intent_id, OLD.id, OLD.project_id, 'answer', OLD.attempt, OLD.provider,
            substr(OLD.model, length(OLD.provider) + 2), OLD.started_at)
    ON CONFLICT (id) DO NOTHING;
    IF NEW.finished_at IS NOT NULL THEN
        UPDATE job_results r SET cost_micros = NULL, unknown_calls = u.calls
          FROM (SELECT count(*) AS calls FROM llm_calls c
                 WHERE c.job_id = OLD.id AND c.cost_micros IS NULL) u
         WHERE r.job_id = OLD.id AND r.unknown_calls < u.calls;
    END IF;
    RETURN NULL;
END $$
"""
# After the update, and only if the lease changes: before it, each update would lock its row by a record of its own.
# A claim that is made again takes its intent along.
TRIGGER = """
CREATE TRIGGER journal_intent AFTER UPDATE OF lease_token ON jobs FOR EACH ROW
  WHEN (OLD.intent_token = OLD.lease_token AND NEW.lease_token IS DISTINCT FROM OLD.lease_token
        AND (NEW.intent_id IS DISTINCT FROM OLD.intent_id
             OR NEW.intent_token IS DISTINCT FROM NEW.lease_token))
  EXECUTE FUNCTION journal_intent()
"""
BACK = """
INSERT INTO llm_calls (id, job_id, project_id, step_key, attempt, provider, model, started_at)
SELECT intent_id, id, project_id, 'answer', attempt, provider, substr(model, length(provider) + 2), started_at
  FROM jobs WHERE intent_token = lease_token
    ON CONFLICT (id) DO NOTHING
"""


def upgrade() -> None:
    """Programs of before leave both columns as they are."""
    op.add_column("jobs", sa.Column("intent_id", UUID(), nullable=True))
    op.add_column("jobs", sa.Column("intent_token", sa.BigInteger(), nullable=True))
    op.execute(FUNCTION)
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER journal_intent ON jobs")
    op.execute("DROP FUNCTION journal_intent")
    op.execute(BACK)
    op.drop_column("jobs", "intent_token")
    op.drop_column("jobs", "intent_id")
