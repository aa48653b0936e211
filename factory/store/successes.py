"""running → succeeded, straight into the archive: the way of nearly every job.

A job that ends and stays costs an update of all its indexes, a row of results, and a move of five tables an hour later.
Here one statement takes it out of the live tables and writes it to the archive as it ended, its last call with it.

Not all can go this way, and those end by `store.moves`: a job with another call that has no end, whose cost may become
known later; one whose parent is live, and may look for it; one that a gateway of a release before accepted, which looks
for ends among live jobs alone. What does not succeed may be retried, and stays where a retry finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from factory.domain.job import Outcome, new_id
from factory.store import optional_columns
from factory.store.archive import KEPT
from factory.store.database import Tx, as_json
from factory.store.events import event_parts
from factory.store.intents import FIRST_STEP, is_open, model_of
from factory.store.journal import SUMS, CallEnd
from factory.store.moves import Moved, event_params, moved
from factory.store.optional_columns import column_list
from factory.store.prepared import prepared_rows

PAYLOAD = optional_columns.PAYLOADS
CLOSED = (
    "http_status",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cost_micros",
    "latency_ms",
)
"""What the end of a call tells of it. The last call is ended with its job: until then it has no end of its own."""


def _ended(source: str) -> str:
    """The columns of a call `c` as it ended; `source` holds what is told of the last one."""
    return ", ".join(
        f"CASE WHEN c.finished_at IS NULL THEN {source}.call_{name} ELSE c.{name} END AS {name}"
        for name in CLOSED
    )


def _told(source: str) -> str:
    """What is told of the last call."""
    return ", ".join(f"{source}.call_{name}" for name in CLOSED)


# Only running jobs have a token, so the state is not checked: with it, the planner would read all running jobs. Each
# part reads its table by the ids of `chosen`: parts that are joined to each other would cost the square of their rows,
# as the planner takes each for one row. All see the tables as they were before the statement.
#
# The job's row is deleted at once: to lock it first would cost as much log again. Who deletes or updates in another order
# is the reaper of a worker that it takes for dead; Postgres ends one of the two, which begins again.
FINISH = f"""
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(%(ends)s AS json)) AS g(
        job_id uuid, lease_token bigint, output jsonb, webhook_job_id uuid, call_id uuid,
        call_http_status smallint, call_input_tokens bigint, call_output_tokens bigint,
        call_cached_tokens bigint, call_cost_micros bigint, call_latency_ms int)
), gone AS (
    DELETE FROM jobs j USING given g
     WHERE j.id = g.job_id AND j.lease_token = g.lease_token AND j.ends_in_archive
       AND CASE WHEN {is_open("j")} THEN j.intent_id IS NOT DISTINCT FROM g.call_id ELSE true END
       AND (SELECT count(*) FROM llm_calls c WHERE c.job_id = j.id AND c.finished_at IS NULL
                                               AND c.id IS DISTINCT FROM g.call_id) = 0
       AND (SELECT count(*) FROM jobs p WHERE p.id = j.parent_id) = 0
    RETURNING j.*, g.output, g.webhook_job_id, g.call_id, {_told("g")},
              CASE WHEN {is_open("j")} THEN j.intent_id END AS first_call
), chosen AS MATERIALIZED (
    SELECT h.*, u.*
      FROM gone h CROSS JOIN LATERAL (
           SELECT {SUMS},
                  count(*) FILTER (WHERE c.open) > 0 AS closed,
                  count(*) FILTER (WHERE c.journaled) AS journaled
             FROM (SELECT c.id, c.finished_at IS NULL AS open, true AS journaled, {_ended("h")}
                     FROM llm_calls c WHERE c.job_id = h.id
                    UNION ALL
                   SELECT h.first_call, true, false, {_told("h")} WHERE h.first_call IS NOT NULL) c) u
), ended AS (
    SELECT id AS job_id, project_id, kind, 'succeeded' AS state, now() AS finished_at,
           NULL::jsonb AS error, webhook_job_id, output,
           input_tokens, output_tokens, cached_tokens, cost_micros, unknown_calls
      FROM chosen
), {event_parts("CROSS JOIN LATERAL (SELECT e.*) r")}, kept AS (
    INSERT INTO jobs_archive ({column_list(KEPT)}, state, finished_at, last_lease_token, {column_list(PAYLOAD)},
                              webhook_job_id, metadata, input_tokens, output_tokens, cached_tokens,
                              cost_micros, unknown_calls)
    SELECT {column_list(KEPT, "s")}, 'succeeded', now(), lease_token, {column_list(PAYLOAD, "p")},
           CASE WHEN p.webhook_url IS NOT NULL AND kind <> 'webhook' THEN webhook_job_id END, p.metadata,
           input_tokens, output_tokens, cached_tokens, cost_micros, unknown_calls
      FROM chosen s JOIN job_requests p ON p.job_id = s.id
), kept_contents AS (
    INSERT INTO job_contents (job_id, project_id, finished_at, input, params, fallbacks, webhook_url,
                              output)
    SELECT s.id, s.project_id, now(), p.input, p.params, p.fallbacks, p.webhook_url, s.output
      FROM chosen s JOIN job_requests p ON p.job_id = s.id
), kept_calls AS (
    INSERT INTO llm_calls_archive (id, job_id, project_id, step_key, attempt, provider, model,
                                   started_at, finished_at, status, error_type, error_message,
                                   {column_list(CLOSED)})
    SELECT c.id, c.job_id, c.project_id, c.step_key, c.attempt, c.provider, c.model, c.started_at,
           coalesce(c.finished_at, now()),
           CASE WHEN c.finished_at IS NULL THEN 'succeeded' ELSE c.status END,
           c.error_type, c.error_message, {_ended("s")}
      FROM chosen s JOIN llm_calls c ON c.job_id = s.id WHERE s.journaled > 0
     UNION ALL
    SELECT s.first_call, s.id, s.project_id, '{FIRST_STEP}', s.attempt, s.provider, {model_of("s")},
           s.started_at, now(), 'succeeded', NULL, NULL, {_told("s")}
      FROM chosen s WHERE s.first_call IS NOT NULL
), calls AS (
    DELETE FROM llm_calls c USING chosen s WHERE c.job_id = s.id AND s.journaled > 0
), steps AS (
    DELETE FROM job_steps t USING chosen s WHERE t.job_id = s.id
), payloads AS (
    DELETE FROM job_requests p USING chosen s WHERE p.job_id = s.id
)
SELECT id, lease_token, lane, 'succeeded' AS state, NULL::uuid AS parent_id, closed FROM chosen
"""


@dataclass(frozen=True, slots=True)
class Success:
    """The end of a job, and that of the call that gave it, if one did. It must have succeeded too."""

    outcome: Outcome
    call: CallEnd | None = None


@dataclass(frozen=True, slots=True)
class Archived:
    """A job that has ended here. `closed`: its call was open until now."""

    moved: Moved
    closed: bool


def finish(tx: Tx, ends: Sequence[Success]) -> list[Archived]:
    """Ends those of the jobs that can go straight into the archive; the others are left as they are."""
    params = finish_params(ends)
    found = prepared_rows(tx, "finish_archived", FINISH, params)
    return [Archived(moved(row), row.closed) for row in found]


def finish_params(ends: Sequence[Success]) -> dict[str, Any]:
    """What FINISH takes. Two sets lock rows in the same order, that of ids."""
    in_order = sorted(ends, key=lambda one: one.outcome.job_id)
    return {"ends": as_json([_as_row(one) for one in in_order]), **event_params()}


def _as_row(end: Success) -> dict[str, Any]:
    outcome, call = end.outcome, end.call
    row = {
        "job_id": outcome.job_id,
        "lease_token": outcome.lease_token,
        "output": outcome.output,
        "webhook_job_id": new_id(),
    }
    if call is None:
        return row
    return row | {
        "call_id": call.call_id,
        "call_http_status": call.http_status,
        "call_input_tokens": call.usage.input_tokens,
        "call_output_tokens": call.usage.output_tokens,
        "call_cached_tokens": call.usage.cached_tokens,
        "call_cost_micros": call.cost_micros,
        "call_latency_ms": call.latency_ms,
    }
