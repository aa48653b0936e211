"""The journal: a row for each physical call, written before it is made, and the outputs of finished steps.

The intent of a job's first call mostly stands in the job's row instead, see `store.intents`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from factory.domain.money import Usage
from factory.store.database import Tx, as_json, ids, rows, run
from factory.store.intents import FIRST_STEP, move_to_journal
from factory.store.prepared import prepared_rows

# Guarded by the lease: a worker whose lease expired while it slept must not spend money for a job that another worker
# may have. Only running jobs have a token (constraint `lease`), so the state is not checked: with it, the planner
# would read the index of all running jobs.
OPEN = """
WITH held AS MATERIALIZED (
    SELECT g.*
      FROM json_to_recordset(CAST(%(calls)s AS json)) AS g(
           id uuid, job_id uuid, lease_token bigint, project_id uuid, step_key text,
           attempt smallint, provider text, model text)
      JOIN jobs j ON j.id = g.job_id AND j.lease_token = g.lease_token
), intents AS (
    INSERT INTO llm_calls (id, job_id, project_id, step_key, attempt, provider, model)
    SELECT id, job_id, project_id, step_key, attempt, provider, model FROM held
    ON CONFLICT (id) DO NOTHING
)
SELECT id FROM held
"""


@dataclass(frozen=True, slots=True)
class Call:
    """The intent to call a provider. Once it is written, money may be spent."""

    id: UUID
    job_id: UUID
    lease_token: int
    project_id: UUID
    step_key: str
    attempt: int
    provider: str
    model: str


def open_calls(tx: Tx, calls: Sequence[Call]) -> set[UUID]:
    """Writes the intents of calls whose lease still holds; gives their ids.

    A row that stays open is unknown spend.
    """
    given = [
        {
            "id": call.id,
            "job_id": call.job_id,
            "lease_token": call.lease_token,
            "project_id": call.project_id,
            "step_key": call.step_key,
            "attempt": call.attempt,
            "provider": call.provider,
            "model": call.model,
        }
        for call in calls
    ]
    found = prepared_rows(tx, "open_calls", OPEN, {"calls": as_json(given)})
    return {row.id for row in found}


@dataclass(frozen=True, slots=True)
class CallEnd:
    """The end of a call. With `output`, its step is finished for good."""

    call_id: UUID
    job_id: UUID
    step_key: str
    provider: str
    model: str
    usage: Usage
    cost_micros: int | None
    latency_ms: int
    error_type: str | None = None
    error_message: str | None = None
    http_status: int | None = None
    output: Any = None


# Guarded by the call's id alone: a worker that lost its lease still records what it paid for. An open call is found
# by `finished_at`: with `status`, the planner would read the index of all open calls.
CLOSE = """
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(%(ends)s AS json)) AS g(
        call_id uuid, job_id uuid, step_key text, status text, error_type text, error_message text,
        http_status smallint,
        input_tokens bigint, output_tokens bigint, cached_tokens bigint, cost_micros bigint,
        latency_ms int, output jsonb)
), steps AS (
    INSERT INTO job_steps (job_id, project_id, step_key, output)
    SELECT g.job_id, (SELECT c.project_id FROM llm_calls c WHERE c.id = g.call_id), g.step_key, g.output
      FROM given g WHERE g.output IS NOT NULL
    ON CONFLICT (job_id, step_key) DO NOTHING
)
UPDATE llm_calls c
   SET finished_at = now(), status = g.status, error_type = g.error_type,
       error_message = g.error_message, http_status = g.http_status, input_tokens = g.input_tokens, output_tokens = g.output_tokens,
       cached_tokens = g.cached_tokens, cost_micros = g.cost_micros, latency_ms = g.latency_ms
  FROM given g WHERE c.id = g.call_id AND c.finished_at IS NULL
RETURNING c.id, c.job_id, EXISTS (SELECT FROM job_outcomes r
                         WHERE r.job_id = c.job_id AND r.unknown_calls > 0) AS settles
"""


# The sums over calls. One call of unknown cost makes the cost unknown.
SUMS = """
       coalesce(sum(c.input_tokens), 0)::bigint AS input_tokens,
       coalesce(sum(c.output_tokens), 0)::bigint AS output_tokens,
       coalesce(sum(c.cached_tokens), 0)::bigint AS cached_tokens,
       CASE WHEN count(c.id) = count(c.cost_micros) THEN coalesce(sum(c.cost_micros), 0)::bigint END
           AS cost_micros,
       count(c.id) - count(c.cost_micros) AS unknown_calls"""
# Those of a job (alias `e`).
USAGE = f"SELECT {SUMS} FROM llm_calls c WHERE c.job_id = e.job_id"
# A call of a worker that lost its lease may end after its job. Then the job's cost becomes known after all.
SETTLE = f"""
WITH settled AS MATERIALIZED (
    SELECT e.job_id, u.* FROM job_outcomes e CROSS JOIN LATERAL ({USAGE}) u
     WHERE e.job_id = ANY(CAST(%(ids)s AS uuid[])) AND e.unknown_calls > 0
)
UPDATE job_outcomes r
   SET input_tokens = s.input_tokens, output_tokens = s.output_tokens,
       cached_tokens = s.cached_tokens, cost_micros = s.cost_micros, unknown_calls = s.unknown_calls
  FROM settled s WHERE r.job_id = s.job_id
"""


# Locked in the order in which the end of a job locks them, so that SETTLE reads what the last writer has committed.
LOCK = (
    "SELECT FROM jobs WHERE id = ANY(CAST(%(ids)s AS uuid[])) ORDER BY id FOR UPDATE",
    "SELECT FROM job_outcomes WHERE job_id = ANY(CAST(%(ids)s AS uuid[])) ORDER BY job_id FOR UPDATE",
)


def settle(tx: Tx, job_ids: Sequence[UUID]) -> None:
    """Recomputes the usage of ended jobs whose cost is unknown, after transactions that are writing it now.

    A call that ends while another transaction ends its job is not seen by that: who closed the call calls this again
    after that transaction has committed.
    """
    params = {"ids": ids(job_ids)}
    for statement in LOCK:
        run(tx, statement, params)
    run(tx, SETTLE, params)


def close_calls(tx: Tx, ends: Sequence[CallEnd]) -> set[UUID]:
    """Records the ends of calls and the outputs of the steps that they finish.

    Gives the calls that were open until now, so that none is counted twice.
    """
    given = [
        {
            "call_id": end.call_id,
            "job_id": end.job_id,
            "step_key": end.step_key,
            "status": "failed" if end.error_type else "succeeded",
            "error_type": end.error_type,
            "error_message": end.error_message,
            "http_status": end.http_status,
            "input_tokens": end.usage.input_tokens,
            "output_tokens": end.usage.output_tokens,
            "cached_tokens": end.usage.cached_tokens,
            "cost_micros": end.cost_micros,
            "latency_ms": end.latency_ms,
            "output": end.output,
        }
        for end in ends
    ]
    if first := [end for end in ends if end.step_key == FIRST_STEP]:
        move_to_journal(tx, [end.job_id for end in first], [end.call_id for end in first])
    closed = prepared_rows(tx, "close_calls", CLOSE, {"ends": as_json(given)})
    if settled := [row.job_id for row in closed if row.settles]:
        settle(tx, settled)
    return {row.id for row in closed}


RECORD = """
INSERT INTO job_steps (job_id, project_id, step_key, output)
SELECT g.job_id, (SELECT j.project_id FROM jobs j WHERE j.id = g.job_id), g.step_key, g.output
  FROM json_to_recordset(CAST(%(steps)s AS json)) AS g(job_id uuid, step_key text, output jsonb)
    ON CONFLICT (job_id, step_key) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a job that need not be done again."""

    job_id: UUID
    step_key: str
    output: Any


def record_steps(tx: Tx, steps: Sequence[Step]) -> None:
    """Records finished steps for later attempts; one that is recorded already is not changed."""
    given = [
        {"job_id": step.job_id, "step_key": step.step_key, "output": step.output} for step in steps
    ]
    run(tx, RECORD, {"steps": as_json(given)})


ABANDONED = """
SELECT (SELECT count(*) FROM llm_calls c
         WHERE c.status = 'open' AND NOT EXISTS (
               SELECT 1 FROM jobs j
                WHERE j.id = c.job_id AND j.state = 'running' AND j.attempt = c.attempt))
     + (SELECT count(*) FROM llm_calls_archive WHERE status = 'open') AS calls
"""


def open_calls_left(tx: Tx) -> int:
    """How many calls have no end though their attempt is over: unknown spend."""
    return int(rows(tx, ABANDONED)[0].calls)
