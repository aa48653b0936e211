"""Every move of a job between states: one guarded statement each, over a set of jobs.

A move is guarded by the state it leaves and, if a worker holds the job, by the lease token. A statement that finds another
state or token changes nothing; the ids that come back show it. Rows are locked in order of id: two sets never deadlock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from factory.domain.job import ClaimedJob, Kind, Outcome, new_id
from factory.domain.lanes import WEBHOOK, Priority, lane_name
from factory.domain.quarantine import QUARANTINE_DEATHS
from factory.domain.retry import WEBHOOK_MAX_ATTEMPTS
from factory.domain.state import State
from factory.store.codec import wait_document
from factory.store.database import Tx, array, as_json, rows
from factory.store.events import event_parts
from factory.store.intents import CLAIMED, is_open
from factory.store.journal import USAGE
from factory.store.prepared import prepared_rows
from factory.store.restores import HELD

# queued → running. The claim alone decides, so it asks for no hint; `run_at` refuses a stale message. A worker
# may claim its own running job again if it did not hear of the commit; that is no new attempt. Steps and spend of earlier
# attempts are read if the job was started before: a retry by the owner resets the count of attempts, not `started_at`.
# A locked row is waited for: SKIP LOCKED would use up the message, and leave the job until the message counts as lost.
KINDS = ", ".join(f"'{kind}'" for kind in Kind)
CLAIM = f"""
WITH open AS MATERIALIZED (
    SELECT id, lane, started_at IS NOT NULL AS again, {CLAIMED} AS intent_id FROM jobs
     WHERE id = ANY(CAST(%(ids)s AS uuid[]))
       -- A kind that is not known here is left to the workers of a newer version.
       AND kind IN ({KINDS})
       -- Redis may still hold hints of the time before a restore.
       AND ((state = 'queued' AND run_at <= now() AND attempt < max_attempts AND NOT {HELD}
             AND (deaths < %(quarantine_deaths)s OR %(quarantine)s))
            OR (state = 'running' AND worker_id = %(worker_id)s))
     ORDER BY id FOR UPDATE
), claimed AS (
    UPDATE jobs j
       SET state = 'running', worker_id = %(worker_id)s, lease_token = o.token,
           intent_id = o.intent_id,
           intent_token = CASE WHEN o.intent_id IS NOT NULL THEN o.token END,
           attempt = attempt + CASE WHEN state = 'queued' THEN 1 ELSE 0 END, started_at = now(),
           published_at = NULL, publishes = 0
      FROM (SELECT *, nextval('lease_tokens') AS token FROM open) o
     WHERE j.id = o.id
    RETURNING j.*, o.again
), arrived AS (
    DELETE FROM hints h USING open o WHERE h.lane = o.lane AND h.job_id = o.id
)
SELECT c.id, c.project_id, c.kind, c.lane, c.provider, c.model, c.agent, c.attempt, c.max_attempts,
       c.deferrals, c.parent_id, extract(epoch FROM now() - c.deferred_since)::float8 AS deferred_s,
       c.lease_token, c.intent_id AS first_call, c.max_cost_micros, p.input, p.params, p.fallbacks,
       p.webhook_url, p.traceparent,
       extract(epoch FROM c.deadline_at - now())::float8 AS seconds_left,
       (SELECT jsonb_object_agg(s.step_key, s.output) FROM job_steps s
         WHERE s.job_id = c.id AND c.again) AS steps,
       (SELECT sum(l.cost_micros)::bigint FROM llm_calls l
         WHERE l.job_id = c.id AND c.again) AS spent_micros,
       (SELECT array_agg(l.provider || '/' || l.model) FROM llm_calls l
         WHERE l.job_id = c.id AND c.again AND l.cost_micros IS NULL
           AND l.id <> ALL(CAST(%(call_ids)s AS uuid[]))) AS unknown_models
  FROM claimed c
  JOIN job_requests p ON p.job_id = c.id
"""


def claim(
    tx: Tx,
    worker_id: UUID,
    job_ids: Sequence[UUID],
    call_ids: Sequence[UUID] = (),
    *,
    quarantine: bool = False,
) -> list[ClaimedJob]:
    """Takes those of the jobs that are queued and due.

    Jobs in quarantine are only given to a process for `quarantine`. `call_ids`: the call that each job may begin with.
    Where its intent now stands in the job's row, it is `first_call`. If the claim is repeated, they must not count as
    calls of an earlier attempt.
    """
    params = {
        "ids": array(job_ids),
        "call_ids": array(call_ids),
        "worker_id": str(worker_id),
        "quarantine": quarantine,
        "quarantine_deaths": QUARANTINE_DEATHS,
    }
    found = prepared_rows(tx, "claim", CLAIM, params)
    return [_claimed(row) for row in found]


def _claimed(row: Any) -> ClaimedJob:
    values = row._asdict()
    values["kind"] = Kind(values["kind"])
    values["fallbacks"] = tuple(values["fallbacks"])
    values["steps"] = values["steps"] or {}
    values["spent_micros"] = values["spent_micros"] or 0
    values["unknown_models"] = tuple(values["unknown_models"] or ())
    return ClaimedJob(**values)


# running → succeeded | failed | cancelled | queued | waiting, and where no lease is given queued |
# waiting → failed | cancelled and waiting → queued. The usage of a finished job is the sum of its calls, those of
# failed attempts included; a call without a known cost is unknown spend, and so is one whose intent is in the row: the
# trigger journals it after this statement. The webhook job sees the job as it was before the update. An owner's cancel
# wins over another attempt and over a wait, never over a result.
FINISH = f"""
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(%(outcomes)s AS json)) AS g(
        job_id uuid, lease_token bigint, state text, output jsonb, error jsonb,
        delay_s float8, spends_attempt boolean, worker_died boolean, webhook_job_id uuid, waiting_for jsonb)
), held AS MATERIALIZED (
    SELECT j.id, j.lease_token, g.output, g.error, g.delay_s, g.webhook_job_id, g.waiting_for,
           CASE WHEN g.state IN ('queued', 'waiting') AND j.cancel_requested_at IS NOT NULL
                THEN 'cancelled' ELSE g.state END AS state,
           CASE WHEN g.state = 'queued' AND j.cancel_requested_at IS NULL AND NOT g.spends_attempt
                THEN 1 ELSE 0 END AS deferred,
           CASE WHEN g.state = 'waiting' AND j.cancel_requested_at IS NULL THEN 1 ELSE 0 END AS waits,
           CASE WHEN g.worker_died THEN 1 ELSE 0 END AS died,
           CASE WHEN {is_open("j")} THEN 1 ELSE 0 END AS intents
      FROM jobs j JOIN given g ON g.job_id = j.id
     WHERE (j.state = 'running' AND j.lease_token = g.lease_token)
        OR (g.lease_token IS NULL AND j.state IN ('queued', 'waiting')
            AND g.state IN ('failed', 'cancelled'))
        OR (g.lease_token IS NULL AND j.state = 'waiting' AND g.state = 'queued')
     ORDER BY j.id FOR UPDATE OF j
), moved AS (
    UPDATE jobs j
       SET state = h.state, worker_id = NULL, lease_token = NULL, published_at = NULL, publishes = 0,
           last_lease_token = CASE WHEN h.died = 0 THEN h.lease_token END,
           attempt = j.attempt - h.deferred - h.waits, deferrals = j.deferrals + h.deferred,
           last_error = CASE WHEN h.state = 'queued' THEN coalesce(h.error, j.last_error) END,
           deferred_since = CASE WHEN h.deferred = 1 THEN coalesce(j.deferred_since, now()) END,
           deaths = j.deaths + h.died,
           waiting_for = CASE WHEN h.waits = 1 THEN h.waiting_for || jsonb_build_object('since', now()) END,
           run_at = CASE WHEN h.state IN ('queued', 'waiting') THEN now() + make_interval(secs => h.delay_s)
                         ELSE j.run_at END,
           finished_at = CASE WHEN h.state IN ('succeeded', 'failed', 'cancelled') THEN now() END
      FROM held h
     WHERE j.id = h.id
    RETURNING j.id, j.project_id, j.kind, j.lane, j.state, j.finished_at, j.parent_id, h.lease_token,
              h.output, h.error, h.webhook_job_id, h.intents
), ended AS (
    SELECT id AS job_id, project_id, kind, state, finished_at, error, webhook_job_id, intents,
           CASE WHEN state = 'succeeded' THEN output END AS output
      FROM moved WHERE finished_at IS NOT NULL
), results AS (
    INSERT INTO job_outcomes (job_id, project_id, output, error, input_tokens, output_tokens,
                              cached_tokens, cost_micros, unknown_calls)
    SELECT e.job_id, e.project_id, e.output, e.error, u.input_tokens, u.output_tokens, u.cached_tokens,
           CASE WHEN e.intents = 0 THEN u.cost_micros END, u.unknown_calls + e.intents
      FROM ended e CROSS JOIN LATERAL ({USAGE}) u
    ON CONFLICT (job_id) DO UPDATE
       SET output = excluded.output, error = excluded.error, input_tokens = excluded.input_tokens,
           output_tokens = excluded.output_tokens, cached_tokens = excluded.cached_tokens,
           cost_micros = excluded.cost_micros, unknown_calls = excluded.unknown_calls
    RETURNING job_id, input_tokens, output_tokens, cached_tokens, cost_micros, unknown_calls
), {event_parts("JOIN results r ON r.job_id = e.job_id")}
SELECT id, lease_token, lane, state, CASE WHEN kind <> 'webhook' THEN parent_id END AS parent_id FROM moved
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """A job, the lease that held it, and the state that this lease moved it to. A webhook has no parent here."""

    id: UUID
    lease_token: int | None
    lane: str
    state: State
    parent_id: UUID | None


def finish(tx: Tx, outcomes: Sequence[Outcome]) -> list[Moved]:
    """Ends attempts; gives the jobs that moved. One whose lease was stale is left out."""
    found = prepared_rows(tx, "finish", FINISH, finish_params(outcomes))
    return [moved(row) for row in found]


def moved(row: Any) -> Moved:
    """What a row of a statement that ends attempts tells."""
    return Moved(row.id, row.lease_token, row.lane, State(row.state), row.parent_id)


def finish_params(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What FINISH takes."""
    return {
        "outcomes": as_json([_as_row(outcome) for outcome in outcomes]),
        **event_params(),
    }


def event_params() -> dict[str, Any]:
    """What the parts of `store.events` take."""
    return {
        "webhook_lane": lane_name(WEBHOOK, Priority.NORMAL),
        "webhook_attempts": WEBHOOK_MAX_ATTEMPTS,
    }


def _as_row(outcome: Outcome) -> dict[str, Any]:
    return {
        "job_id": outcome.job_id,
        "lease_token": outcome.lease_token,
        "state": outcome.state,
        "output": outcome.output,
        "error": outcome.error and outcome.error.as_dict(),
        "delay_s": outcome.waiting_for.delay_s if outcome.waiting_for else outcome.delay_s,
        "spends_attempt": outcome.spends_attempt,
        "worker_died": outcome.worker_died,
        "webhook_job_id": new_id(),
        "waiting_for": outcome.waiting_for and wait_document(outcome.waiting_for),
    }


# failed → queued, by the owner: the count of attempts starts at 0; finished steps stay and are not paid again.
RETRY = """
WITH moved AS (
    UPDATE jobs
       SET state = 'queued', attempt = 0, deaths = 0, run_at = now(), finished_at = NULL,
           cancel_requested_at = NULL, deadline_at = NULL, published_at = NULL, publishes = 0
     WHERE id = %(id)s AND project_id = %(project_id)s AND state = 'failed'
    RETURNING id, lane
), forgotten AS (
    DELETE FROM job_outcomes r USING moved m WHERE r.job_id = m.id
), unhinted AS (
    DELETE FROM hints h USING moved m WHERE h.lane = m.lane AND h.job_id = m.id
)
SELECT id FROM moved
"""


def retry(tx: Tx, project_id: UUID, job_id: UUID) -> bool:
    """Queues a failed job again; False when it is not a failed job of the project."""
    return bool(rows(tx, RETRY, {"id": str(job_id), "project_id": str(project_id)}))


REQUEST_CANCEL = """
UPDATE jobs SET cancel_requested_at = coalesce(cancel_requested_at, now())
 WHERE id = %(id)s AND project_id = %(project_id)s AND state IN ('queued', 'running', 'waiting')
RETURNING state
"""


def request_cancel(tx: Tx, project_id: UUID, job_id: UUID) -> State | None:
    """Marks a live job as unwanted; its state, or None when it is not live.

    A running job's worker sees the mark and ends the job. The caller ends a queued one in the same transaction, which
    holds the row, so that no claim comes between.
    """
    found = rows(tx, REQUEST_CANCEL, {"id": str(job_id), "project_id": str(project_id)})
    return State(found[0].state) if found else None


OVERDUE = """
SELECT id FROM jobs WHERE state = %(state)s AND deadline_at <= now() ORDER BY deadline_at LIMIT 1000
"""


def overdue(tx: Tx, state: State) -> list[UUID]:
    """Jobs in that state, queued or waiting, whose deadline has passed; at most 1,000."""
    return [row.id for row in rows(tx, OVERDUE, {"state": state})]
