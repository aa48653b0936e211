"""A database with a backlog and a history, as months of work leave it: filled by SQL, fast.

Ended jobs are where retention would have put them: the last hour's among the live ones, the others in
the archive, those of the last month with their content.
"""

from __future__ import annotations

from datetime import timedelta

from factory.domain.job import new_id
from factory.services import Services
from factory.store import partitions
from factory.store.database import Database, Tx, rows, run

PROJECTS = 10
CHUNK = 50_000
LIVE_SHARE = 0.05
"""The share of ended jobs that retention has not moved yet."""
ARCHIVE_DAYS, CONTENT_DAYS = 90, 30

# A third in each lane, evenly over the projects; the oldest is due first.
QUEUED = """
WITH made AS (
    INSERT INTO jobs (id, project_id, kind, lane, provider, model, priority, max_attempts, run_at,
                      created_at, ends_in_archive)
    SELECT uuidv7(-age), (CAST(%(projects)s AS uuid[]))[1 + n / 3 %% %(many)s], 'completion',
           provider || '.' || priority, provider, provider || '/a-model', priority, 5, now() - age,
           now() - age, true
      FROM generate_series(%(first)s, %(last)s) n,
           LATERAL (SELECT make_interval(secs => (%(count)s - n) / 100.0) AS age,
                           (ARRAY['openai', 'openai', 'anthropic'])[1 + n %% 3] AS provider,
                           (ARRAY['bulk', 'normal', 'bulk'])[1 + n %% 3] AS priority) drawn
    RETURNING id, project_id
)
INSERT INTO job_requests (job_id, project_id, input)
SELECT id, project_id, '{"messages": [{"role": "user", "content": "What is a queue, in one sentence?"}]}' FROM made
"""
ENDED = """
WITH made AS (
    INSERT INTO jobs (id, project_id, kind, state, lane, provider, model, priority, attempt,
                      max_attempts, created_at, started_at, finished_at)
    SELECT uuidv7(make_interval(mins => -50)), (CAST(%(projects)s AS uuid[]))[1 + n %% %(many)s],
           'completion', 'succeeded', 'openai.normal', 'openai', 'openai/gpt-4o-mini', 'normal', 1, 5,
           now() - interval '50 min', now() - interval '40 min', now() - interval '40 min'
      FROM generate_series(%(first)s, %(last)s) n
    RETURNING id, project_id
), payloads AS (
    INSERT INTO job_requests (job_id, project_id, input)
    SELECT id, project_id, '{"messages": [{"role": "user", "content": "What is a queue?"}]}' FROM made
), calls AS (
    INSERT INTO llm_calls (id, job_id, project_id, step_key, attempt, provider, model, started_at,
                           finished_at, status, input_tokens, output_tokens, cached_tokens,
                           cost_micros, latency_ms)
    SELECT uuidv7(make_interval(mins => -40)), id, project_id, 'answer', 1, 'openai', 'gpt-4o-mini',
           now() - interval '40 min', now() - interval '40 min', 'succeeded', 12, 30, 0, 20, 900
      FROM made
), steps AS (
    INSERT INTO job_steps (job_id, project_id, step_key, output)
    SELECT id, project_id, 'answer', '{"text": "A line in which work waits for its turn."}' FROM made
)
INSERT INTO job_outcomes (job_id, project_id, output, input_tokens, output_tokens, cached_tokens, cost_micros,
                         unknown_calls)
SELECT id, project_id, '{"text": "A line in which work waits for its turn."}', 12, 30, 0, 20, 0 FROM made
"""
ARCHIVED = """
WITH made AS (
    INSERT INTO jobs_archive (id, project_id, kind, state, lane, provider, model, priority, attempt,
                              max_attempts, deferrals, deaths, run_at, created_at, started_at,
                              finished_at, metadata, input_tokens, output_tokens, cached_tokens,
                              cost_micros, unknown_calls)
    SELECT uuidv7(-age), (CAST(%(projects)s AS uuid[]))[1 + n %% %(many)s], 'completion', 'succeeded',
           'openai.normal', 'openai', 'openai/gpt-4o-mini', 'normal', 1, 5, 0, 0, now() - age,
           now() - age, now() - age, now() - age, '{}', 12, 30, 0, 20, 0
      FROM generate_series(%(first)s, %(last)s) n,
           LATERAL (SELECT make_interval(secs => 3600 + 86400.0 * %(days)s * (1 - n / %(count)s::float8))
                           AS age) past
    RETURNING id, project_id, finished_at
), contents AS (
    INSERT INTO job_contents (job_id, project_id, finished_at, input, params, fallbacks, output)
    SELECT id, project_id, finished_at, '{"messages": [{"role": "user", "content": "What is a queue?"}]}', '{}', '{}',
           '{"text": "A line in which work waits for its turn."}'
      FROM made WHERE finished_at > now() - make_interval(days => %(content_days)s)
)
INSERT INTO llm_calls_archive (id, job_id, project_id, step_key, attempt, provider, model, started_at,
                               finished_at, status, input_tokens, output_tokens, cached_tokens,
                               cost_micros, latency_ms)
SELECT uuidv7(finished_at - now()), id, project_id, 'answer', 1, 'openai', 'gpt-4o-mini', finished_at,
       finished_at, 'succeeded', 12, 30, 0, 20, 900
  FROM made
"""
ARCHIVED_BEFORE = ARCHIVED.replace("id, project_id, finished_at, ", "id, finished_at, ")
"""As a release wrote them whose content did not say whose it was."""


def fill(services: Services, queued: int, finished: int) -> None:
    """So many queued and ended jobs of `PROJECTS` projects, vacuumed and analyzed."""
    live = int(finished * LIVE_SHARE)
    with services.database.transaction() as tx:
        project_ids = projects(tx)
        make_partitions(tx)
    for statement, count in ((QUEUED, queued), (ENDED, live), (ARCHIVED, finished - live)):
        insert(services.database, statement, project_ids, count)
    vacuum(services.database)


def vacuum(database: Database) -> None:
    """Everything, with statistics, and on disk."""
    with database.engine.connect() as connection:
        free = connection.execution_options(isolation_level="AUTOCOMMIT")
        run(free, "SET statement_timeout = 0")
        run(free, "VACUUM (ANALYZE)")
        run(free, "CHECKPOINT")


def insert(
    database: Database,
    statement: str,
    project_ids: list[str],
    count: int,
    days: int = ARCHIVE_DAYS,
) -> None:
    """Runs one of the statements above for `count` jobs; archived ones ended in the last `days`."""
    given = {
        "projects": project_ids,
        "many": len(project_ids),
        "count": count,
        "days": days,
        "content_days": CONTENT_DAYS,
    }
    for first in range(1, count + 1, CHUNK):
        with database.transaction(answer_s=60) as tx:
            run(tx, "SET LOCAL synchronous_commit = off")
            run(tx, statement, {**given, "first": first, "last": min(first + CHUNK - 1, count)})


def projects(tx: Tx) -> list[str]:
    """New ones, `PROJECTS` of them; gives their ids."""
    statement = "INSERT INTO projects (id, name) VALUES (%(id)s, %(name)s) RETURNING id"
    names = [f"project {number}" for number in range(PROJECTS)]
    return [str(rows(tx, statement, {"id": str(new_id()), "name": name})[0].id) for name in names]


def make_partitions(tx: Tx) -> None:
    """For all that the statements above write."""
    now = partitions.database_now(tx)
    for family in partitions.FAMILIES:
        days = CONTENT_DAYS if family is partitions.CONTENTS else ARCHIVE_DAYS
        first, last = now - timedelta(days=days + 1), now + timedelta(days=7)
        for span in partitions.missing(tx, family, first, last):
            partitions.make(tx, family, span)
