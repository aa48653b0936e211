"""What months of work have left in an installation that is upgraded, written by SQL as the release before writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import history
from factory.config import libpq_url
from factory.store.database import Database, run
from tests.faults.scene import Scene

QUEUED_SHARE = 10
"""One job in so many waits for tomorrow; the others have ended."""
DAYS = 28
"""In which they ended: all still have their content."""
WRITE_S = 120.0
QUEUED = """
WITH made AS (
    INSERT INTO jobs (id, project_id, kind, lane, provider, model, priority, max_attempts, run_at)
    SELECT uuidv7(), (CAST(%(projects)s AS uuid[]))[1 + n %% %(many)s], 'completion', 'openai.bulk', 'openai',
           'openai/gpt-4o-mini', 'bulk', 5, now() + interval '1 day'
      FROM generate_series(%(first)s, %(last)s) n
    RETURNING id
)
INSERT INTO job_payloads (job_id, input)
SELECT id, '{"messages": [{"role": "user", "content": "What is a queue, in one sentence?"}]}' FROM made
"""
# Each ending is counted where it is made; whoever judges compares the two.
COUNTED = "INSERT INTO counters (metric, labels, amount) VALUES ('jobs_finished_total', %(labels)s, %(count)s)"
LABELS = '{"lane": "openai.normal", "state": "succeeded"}'
# Asked after the migration: rows of the time before it that do not say yet whose they are.
LACKING = """
SELECT EXISTS (SELECT FROM job_contents
                WHERE project_id IS NULL AND finished_at < now() - interval '1 hour')
    OR EXISTS (SELECT FROM jobs j JOIN job_requests r ON r.job_id = j.id
                WHERE j.run_at > now() + interval '1 hour' AND r.project_id IS NULL)
"""
LEFT = """
WITH owners AS MATERIALIZED (SELECT id FROM projects WHERE name LIKE 'project %')
SELECT (SELECT count(*) FROM jobs j JOIN job_requests r ON r.job_id = j.id AND r.project_id = j.project_id
         WHERE j.project_id IN (SELECT id FROM owners) AND j.state = 'queued')
     + (SELECT count(*) FROM jobs_archive j
          JOIN job_contents c ON c.job_id = j.id AND c.finished_at = j.finished_at
                             AND c.project_id = j.project_id
         WHERE j.project_id IN (SELECT id FROM owners))
"""


def write(scene: Scene) -> None:
    """A tenth of the jobs queued, the others in the archive with their content and their calls; vacuumed."""
    queued = scene.past_jobs // QUEUED_SHARE
    ended = scene.past_jobs - queued
    with _database(scene) as database:
        with database.transaction() as tx:
            project_ids = history.projects(tx)
            history.make_partitions(tx)
            run(tx, COUNTED, {"labels": LABELS, "count": ended})
        history.insert(database, QUEUED, project_ids, queued)
        history.insert(database, history.ARCHIVED_BEFORE, project_ids, ended, DAYS)
        history.vacuum(database)


def lacks_owners(scene: Scene) -> bool:
    """Whether a row of the time before the migration does not say whose it is; also if Postgres does not say."""
    found = scene.ask(LACKING)
    return found is None or bool(found[0][0])


def missing(scene: Scene) -> int:
    """Jobs that are not there, or not whole, or whose rows name another project."""
    [[left]] = scene.answer(LEFT)
    return scene.past_jobs - int(left)


@contextmanager
def _database(scene: Scene) -> Iterator[Database]:
    url = libpq_url(scene.state().database_url)
    database = Database(url, pool_size=1, process="past", statement_s=WRITE_S)
    try:
        yield database
    finally:
        database.close()
