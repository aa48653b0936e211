"""The archive: ended jobs are moved there, so that live ones stay fast, and moved back for a retry.

Most jobs never come this way: they succeed, and their end itself puts them there, see `store.successes`.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from factory.store import optional_columns
from factory.store.database import Tx, rows, run
from factory.store.intents import intent_of, is_open
from factory.store.optional_columns import column_list

UNENDED_CALL_DAYS = 1
"""A job with an open call is not archived for so long, so that a late end of the call is still recorded."""

# Others wait for the rows and tables that retention holds, so retention itself must not wait long.
BRIEF = "SET LOCAL statement_timeout = '2s'; SET LOCAL lock_timeout = '200ms'"


def be_brief(tx: Tx) -> None:
    """Sets short lock and statement timeouts: the transaction raises Unavailable rather than wait."""
    run(tx, BRIEF)


KEPT = (
    *(
        "id",
        "project_id",
        "kind",
        "lane",
        "provider",
        "model",
        "priority",
        "attempt",
        "max_attempts",
    ),
    *("deferrals", "deaths", "run_at", "deadline_at", "cancel_requested_at", "max_cost_micros"),
    *("created_at", "started_at", *optional_columns.JOBS),
)
"""What the archive takes over from a job as it is; its end is apart."""
JOB = (*KEPT, "state", "finished_at", "last_lease_token")
PAYLOAD = optional_columns.PAYLOADS
CALL = """
    id, job_id, project_id, step_key, attempt, provider, model, started_at, finished_at, status,
    error_type, error_message, http_status, input_tokens, output_tokens, cached_tokens, cost_micros, latency_ms"""

# The webhook job of an ended job; after a retry there are several.
WEBHOOK_JOB = """
SELECT w.id FROM jobs w WHERE w.parent_id = e.id AND w.kind = 'webhook' ORDER BY w.id DESC LIMIT 1
"""

# One statement, so a job is always in exactly one place. Two dispatchers take different jobs. Finished steps are
# kept for failed jobs alone: only those can be retried.
MOVE = f"""
WITH old AS MATERIALIZED (
    SELECT id FROM jobs j
     WHERE state IN ('succeeded', 'failed', 'cancelled')
       AND finished_at < now() - make_interval(secs => %(after_s)s)
       AND (finished_at < now() - make_interval(days => {UNENDED_CALL_DAYS})
            OR NOT EXISTS (SELECT FROM llm_calls c WHERE c.job_id = j.id AND c.status = 'open'))
     ORDER BY finished_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), ended AS (
    DELETE FROM jobs j USING old o WHERE j.id = o.id RETURNING j.*
), payloads AS (
    DELETE FROM job_requests p USING old o WHERE p.job_id = o.id RETURNING p.*
), results AS (
    DELETE FROM job_outcomes r USING old o WHERE r.job_id = o.id RETURNING r.*
), steps AS (
    DELETE FROM job_steps s USING old o WHERE s.job_id = o.id RETURNING s.*
), calls AS (
    DELETE FROM llm_calls c USING old o WHERE c.job_id = o.id RETURNING c.*
), kept_calls AS (
    INSERT INTO llm_calls_archive ({CALL}) SELECT {CALL} FROM calls
), kept_contents AS (
    INSERT INTO job_contents (job_id, project_id, finished_at, input, params, fallbacks, webhook_url,
                              output, error, steps)
    SELECT e.id, e.project_id, e.finished_at, p.input, p.params, p.fallbacks, p.webhook_url, r.output, r.error,
           CASE WHEN e.state = 'failed' THEN s.outputs END
      FROM ended e
      JOIN payloads p ON p.job_id = e.id
      LEFT JOIN results r ON r.job_id = e.id
      LEFT JOIN (SELECT job_id, jsonb_object_agg(step_key, output) AS outputs
                   FROM steps GROUP BY job_id) s ON s.job_id = e.id
)
INSERT INTO jobs_archive ({column_list(JOB)}, {column_list(PAYLOAD)}, webhook_job_id, metadata, input_tokens,
                          output_tokens, cached_tokens, cost_micros, unknown_calls)
SELECT {column_list(JOB, "e")}, {column_list(PAYLOAD, "p")},
       CASE WHEN p.webhook_url IS NOT NULL THEN ({WEBHOOK_JOB}) END, coalesce(p.metadata, '{{}}'),
       coalesce(r.input_tokens, 0), coalesce(r.output_tokens, 0), coalesce(r.cached_tokens, 0), r.cost_micros,
       coalesce(r.unknown_calls, 0)
  FROM ended e
  LEFT JOIN payloads p ON p.job_id = e.id
  LEFT JOIN results r ON r.job_id = e.id
"""


def move(tx: Tx, after_s: float, limit: int) -> int:
    """Moves jobs that ended at least `after_s` ago, the oldest first; gives how many, at most `limit`."""
    return run(tx, MOVE, {"after_s": after_s, "limit": limit})


# The job is restored as it was; `store.moves` then retries it like any other. A job whose content has been removed
# cannot run again and stays in the archive.
RESTORE = f"""
WITH wanted AS MATERIALIZED (
    SELECT a.id, a.finished_at
      FROM jobs_archive a
      JOIN job_contents c ON c.job_id = a.id AND c.finished_at = a.finished_at
     WHERE a.id = %(id)s AND a.project_id = %(project_id)s AND a.state = 'failed'
), ended AS (
    DELETE FROM jobs_archive a USING wanted w
     WHERE a.id = w.id AND a.finished_at = w.finished_at RETURNING a.*
), contents AS (
    DELETE FROM job_contents c USING wanted w
     WHERE c.job_id = w.id AND c.finished_at = w.finished_at RETURNING c.*
), calls AS (
    DELETE FROM llm_calls_archive l USING wanted w WHERE l.job_id = w.id RETURNING l.*
), payloads AS (
    INSERT INTO job_requests (job_id, project_id, input, params, fallbacks, metadata, webhook_url,
                              {column_list(PAYLOAD)})
    SELECT e.id, e.project_id, c.input, c.params, c.fallbacks, e.metadata, c.webhook_url,
           {column_list(PAYLOAD, "e")}
      FROM ended e JOIN contents c ON c.job_id = e.id
), results AS (
    INSERT INTO job_outcomes (job_id, project_id, output, error, input_tokens, output_tokens,
                              cached_tokens, cost_micros, unknown_calls)
    SELECT e.id, e.project_id, c.output, c.error, e.input_tokens, e.output_tokens, e.cached_tokens, e.cost_micros,
           e.unknown_calls
      FROM ended e JOIN contents c ON c.job_id = e.id
), steps AS (
    INSERT INTO job_steps (job_id, project_id, step_key, output)
    SELECT e.id, e.project_id, s.key, s.value
      FROM ended e JOIN contents c ON c.job_id = e.id CROSS JOIN LATERAL jsonb_each(c.steps) s
    ON CONFLICT (job_id, step_key) DO NOTHING
), restored_calls AS (
    INSERT INTO llm_calls ({CALL}) SELECT {CALL} FROM calls
)
INSERT INTO jobs ({column_list(JOB)}, ends_in_archive) SELECT {column_list(JOB)}, true FROM ended
"""


def restore(tx: Tx, project_id: UUID, job_id: UUID) -> bool:
    """Brings an archived failed job back as it was; False when it is no such job or its content is gone."""
    return run(tx, RESTORE, {"id": str(job_id), "project_id": str(project_id)}) == 1


OLDEST = """
SELECT min(finished_at) AS at FROM jobs WHERE state IN ('succeeded', 'failed', 'cancelled')
"""


def oldest(tx: Tx) -> datetime | None:
    """The earliest end among jobs that are not archived yet."""
    found: datetime | None = rows(tx, OLDEST)[0].at
    return found


SHARED = column_list((*KEPT, "state", "finished_at"))
EVERY_JOB = f"(SELECT {SHARED} FROM jobs UNION ALL SELECT {SHARED} FROM jobs_archive)"
EVERY_CALL = f"""
(SELECT {CALL} FROM llm_calls UNION ALL SELECT {CALL} FROM llm_calls_archive UNION ALL
 SELECT {intent_of("j")}, NULL, 'open', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
   FROM jobs j WHERE {is_open("j")})"""
EVERY_INPUT = (
    "(SELECT job_id, input FROM job_requests UNION ALL SELECT job_id, input FROM job_contents)"
)
EVERY_RESULT = "(SELECT job_id FROM job_outcomes UNION ALL SELECT job_id FROM job_contents)"
"""Live and archived together, for those who count or check them: tests, drills and benchmarks."""
