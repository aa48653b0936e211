"""Every move of a job between states: one guarded statement each, over a set of jobs.

A move is guarded by the state it leaves, and by the lease token where a worker holds the job. A
statement that finds another state or token changes nothing, and its caller learns so from the ids
that come back. Rows are locked in the order of their ids, so that two sets never deadlock.
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
from factory.store.database import Tx, array, as_json, ids, rows
from factory.store.jobs import SHOWN
from factory.store.journal import USAGE
from factory.store.prepared import prepared_rows
from factory.store.restores import HELD

# queued → running. `published_at` plays no part: a hint is a hint, only this decides. A stale hint of
# a job that waits for its next attempt is refused by `run_at`. A worker takes its own running job
# again after a claim whose commit it never heard of; it asks only for jobs that it does not know to
# hold, and that is no new attempt. What was paid for before comes along whenever the job has been
# started before: counts of attempts begin anew with an owner's retry, `started_at` does not.
# It waits for who holds a row: mostly a dispatcher that came too late to publish it. To pass over it, as if it were
# another worker's, used up the hint, and its job was left until the hint counted as lost.
KINDS = ", ".join(f"'{kind}'" for kind in Kind)
CLAIM = f"""
WITH open AS MATERIALIZED (
    SELECT id, started_at IS NOT NULL AS again FROM jobs
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
       SET state = 'running', worker_id = %(worker_id)s, lease_token = nextval('lease_tokens'),
           attempt = attempt + CASE WHEN state = 'queued' THEN 1 ELSE 0 END, started_at = now(),
           published_at = NULL, publishes = 0
      FROM open
     WHERE j.id = open.id
    RETURNING j.*, open.again
)
SELECT c.id, c.project_id, c.kind, c.lane, c.provider, c.model, c.agent, c.attempt, c.max_attempts,
       c.deferrals, extract(epoch FROM now() - c.deferred_since)::float8 AS deferred_s,
       c.lease_token, c.max_cost_micros, p.input, p.params, p.fallbacks,
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
  JOIN job_payloads p ON p.job_id = c.id
"""


def claim(
    tx: Tx,
    worker_id: UUID,
    job_ids: Sequence[UUID],
    call_ids: Sequence[UUID] = (),
    *,
    quarantine: bool = False,
) -> list[ClaimedJob]:
    """Takes those of the jobs that are queued and due; the others are somebody else's or not due.

    A suspect is taken only by a process in `quarantine`. `call_ids` are of calls that this claim is to open: if
    it is made again, they are no earlier attempt's.
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
# waiting → failed | cancelled and waiting → queued. The usage of a finished job is the sum of its
# calls, so what failed attempts cost is in it; a call without a known cost is unknown spend. The job's
# webhook is born in the same statement: an event is owed exactly when the state says so, and tells of the
# job as it ended, whatever its owner does with it later; `j` is still as it was before. A caller's cancel
# beats a retry, never a result that is already there.
FINISH = f"""
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(%(outcomes)s AS jsonb)) AS g(
        job_id uuid, lease_token bigint, state text, output jsonb, error jsonb,
        delay_s double precision, spends_attempt boolean, worker_died boolean, webhook_job_id uuid)
), held AS MATERIALIZED (
    SELECT j.id, j.lease_token, g.output, g.error, g.delay_s, g.webhook_job_id,
           CASE WHEN g.state = 'queued' AND j.cancel_requested_at IS NOT NULL
                THEN 'cancelled' ELSE g.state END AS state,
           CASE WHEN g.state = 'queued' AND j.cancel_requested_at IS NULL AND NOT g.spends_attempt
                THEN 1 ELSE 0 END AS deferred,
           CASE WHEN g.worker_died THEN 1 ELSE 0 END AS died
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
           attempt = j.attempt - h.deferred, deferrals = j.deferrals + h.deferred,
           last_error = CASE WHEN h.state = 'queued' THEN coalesce(h.error, j.last_error) END,
           deferred_since = CASE WHEN h.deferred = 1 THEN coalesce(j.deferred_since, now()) END,
           deaths = j.deaths + h.died,
           run_at = CASE WHEN h.state = 'queued' THEN now() + make_interval(secs => h.delay_s)
                         ELSE j.run_at END,
           finished_at = CASE WHEN h.state IN ('succeeded', 'failed', 'cancelled') THEN now() END
      FROM held h
     WHERE j.id = h.id
    RETURNING j.id, j.project_id, j.kind, j.lane, j.state, j.finished_at, h.lease_token, h.output,
              h.error, h.webhook_job_id
), ended AS (
    SELECT id AS job_id, project_id, kind, state, finished_at, error, webhook_job_id,
           CASE WHEN state = 'succeeded' THEN output END AS output
      FROM moved WHERE finished_at IS NOT NULL
), results AS (
    INSERT INTO job_results (job_id, output, error, input_tokens, output_tokens, cached_tokens,
                             cost_micros, unknown_calls)
    SELECT e.job_id, e.output, e.error, u.input_tokens, u.output_tokens, u.cached_tokens,
           u.cost_micros, u.unknown_calls
      FROM ended e CROSS JOIN LATERAL ({USAGE}) u
    ON CONFLICT (job_id) DO UPDATE
       SET output = excluded.output, error = excluded.error, input_tokens = excluded.input_tokens,
           output_tokens = excluded.output_tokens, cached_tokens = excluded.cached_tokens,
           cost_micros = excluded.cost_micros, unknown_calls = excluded.unknown_calls
    RETURNING job_id, input_tokens, output_tokens, cached_tokens, cost_micros, unknown_calls
), events AS (
    INSERT INTO jobs (id, project_id, kind, lane, provider, priority, max_attempts, parent_id)
    SELECT e.webhook_job_id, e.project_id, 'webhook', %(webhook_lane)s, 'webhook', 'normal',
           %(webhook_attempts)s, e.job_id
      FROM ended e JOIN job_payloads p ON p.job_id = e.job_id
     WHERE p.webhook_url IS NOT NULL AND e.kind <> 'webhook'
    RETURNING id, parent_id
), event_payloads AS (
    INSERT INTO job_payloads (job_id, input, webhook_url)
    SELECT v.id,
           jsonb_build_object(
               'type', 'job.' || e.state,
               'job', to_jsonb(told)
                   || jsonb_build_object('state', e.state, 'finished_at', e.finished_at)),
           p.webhook_url
      FROM events v
      JOIN ended e ON e.job_id = v.parent_id
      JOIN results r ON r.job_id = v.parent_id
      JOIN job_payloads p ON p.job_id = v.parent_id
      JOIN jobs j ON j.id = v.parent_id
     CROSS JOIN LATERAL (
           {SHOWN} p.metadata, p.traceparent, e.output, e.error, r.input_tokens, r.output_tokens,
           r.cached_tokens, r.cost_micros, r.unknown_calls) told
)
SELECT id, lease_token, lane, state FROM moved
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """A job, the lease that it was held by, and the state that this lease moved it to."""

    id: UUID
    lease_token: int | None
    lane: str
    state: State


def finish(tx: Tx, outcomes: Sequence[Outcome]) -> list[Moved]:
    """The jobs that moved; one whose lease was stale is left out."""
    found = prepared_rows(tx, "finish", FINISH, finish_params(outcomes))
    return [_moved(row) for row in found]


# A reaper that ends a lease leaves no mark of it: what its holder says afterwards is stale. What has gone
# on since, by another lease or the owner's retry, began with a job that was queued.
FINISHED_BEFORE = """
SELECT j.id, j.last_lease_token AS lease_token, j.lane,
       CASE WHEN j.state = 'running' THEN 'queued' ELSE j.state END AS state
  FROM jobs j
  JOIN unnest(CAST(%(ids)s AS uuid[]), CAST(%(tokens)s AS bigint[])) AS g(id, lease_token)
    ON j.id = g.id AND j.last_lease_token = g.lease_token
"""


def finished_before(tx: Tx, outcomes: Sequence[Outcome]) -> list[Moved]:
    """Those of the outcomes that are there already: a commit that nobody heard of is made again."""
    if not outcomes:
        return []
    params = {
        "ids": ids([outcome.job_id for outcome in outcomes]),
        "tokens": [outcome.lease_token for outcome in outcomes],
    }
    return [_moved(row) for row in rows(tx, FINISHED_BEFORE, params)]


def _moved(row: Any) -> Moved:
    return Moved(row.id, row.lease_token, row.lane, State(row.state))


def finish_params(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What FINISH takes."""
    return {
        "outcomes": as_json([_as_row(outcome) for outcome in outcomes]),
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
        "delay_s": outcome.delay_s,
        "spends_attempt": outcome.spends_attempt,
        "worker_died": outcome.worker_died,
        "webhook_job_id": new_id(),
    }


# failed → queued, by the owner: attempts start anew, finished steps stay and are not paid again.
RETRY = """
WITH moved AS (
    UPDATE jobs
       SET state = 'queued', attempt = 0, deaths = 0, run_at = now(), finished_at = NULL,
           cancel_requested_at = NULL, deadline_at = NULL, published_at = NULL, publishes = 0
     WHERE id = %(id)s AND project_id = %(project_id)s AND state = 'failed'
    RETURNING id
), forgotten AS (
    DELETE FROM job_results r USING moved m WHERE r.job_id = m.id
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

    A running job's worker sees the mark and ends it. The caller ends a queued one in the same
    transaction: the mark holds the row, so no claim comes between.
    """
    found = rows(tx, REQUEST_CANCEL, {"id": str(job_id), "project_id": str(project_id)})
    return State(found[0].state) if found else None


OVERDUE = """
SELECT id FROM jobs WHERE state = 'queued' AND deadline_at <= now() ORDER BY deadline_at LIMIT 1000
"""


def overdue(tx: Tx) -> list[UUID]:
    """Queued jobs whose deadline has passed, at most 1,000."""
    return [row.id for row in rows(tx, OVERDUE)]
