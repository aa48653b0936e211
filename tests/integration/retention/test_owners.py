"""Rows of programs that did not know `project_id` in every table: read as before, and filled in beside live jobs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy.exc import ProgrammingError

from factory.domain.job import ClaimedJob, new_id
from factory.domain.state import State
from factory.pipeline.run.attempt import Ending, end_attempts
from factory.pipeline.upkeep.owners import LATER_S, REST_S, SOON_S, Owners
from factory.services import Services
from factory.store import archive, owners
from factory.store.database import Tx, rows
from tests.integration.reliability.rig import eventually
from tests.integration.retention.past import DAY, count, given_archived, retain
from tests.integration.retention.test_straight import end_one
from tests.integration.store.samples import (
    PROJECT,
    ask,
    claim_one,
    end,
    given_job,
    given_jobs,
    tell,
    view,
    waits_for_locks,
)

WRITE_JOB = """
WITH made AS (
    INSERT INTO jobs (id, project_id, kind, lane, provider, priority, max_attempts)
    SELECT CAST(%(id)s AS uuid), CAST(%(project)s AS uuid), 'completion', 'openai.normal', 'openai', 'normal', 5
    RETURNING id
)
INSERT INTO job_payloads (job_id, input) SELECT id, '{"messages": []}' FROM made
"""
END_JOB = """
INSERT INTO job_results AS r (job_id, output, input_tokens, output_tokens, cached_tokens, unknown_calls)
VALUES (%(id)s, '{"text": "hello"}', 1, 2, 0, 0)
ON CONFLICT (job_id) DO UPDATE SET output = excluded.output
"""
WRITE_STEP = "INSERT INTO job_steps (job_id, step_key, output) VALUES (%(id)s, 'answer', '{}')"
# Its `project_id` and `id` say not of which table, as in the statements of before that archive.
ARCHIVE = """
WITH ended AS (
    DELETE FROM jobs WHERE id = %(id)s RETURNING *
), payloads AS (
    DELETE FROM job_payloads p USING ended e WHERE p.job_id = e.id RETURNING p.*
), results AS (
    DELETE FROM job_results r USING ended e WHERE r.job_id = e.id RETURNING r.*
), steps AS (
    DELETE FROM job_steps s USING ended e WHERE s.job_id = e.id RETURNING s.*
), contents AS (
    INSERT INTO job_contents (job_id, finished_at, input, params, fallbacks, output)
    SELECT id, now(), input, params, fallbacks, output
      FROM ended JOIN payloads p ON p.job_id = id JOIN results r ON r.job_id = id
)
INSERT INTO jobs_archive (id, project_id, kind, state, lane, provider, priority, attempt, max_attempts, deferrals,
                          deaths, run_at, created_at, finished_at, metadata, input_tokens,
                          output_tokens, cached_tokens, unknown_calls)
SELECT id, project_id, kind, 'succeeded', lane, provider, priority, attempt, max_attempts, deferrals, deaths, run_at,
       created_at, now(), metadata, input_tokens, output_tokens, cached_tokens, unknown_calls
  FROM ended JOIN payloads p ON p.job_id = id JOIN results r ON r.job_id = id
"""


def written_before(services: Services) -> UUID:
    """A queued job with a step and a result, as a program of before writes one."""
    job_id = new_id()
    tell(services, WRITE_JOB, id=str(job_id), project=str(PROJECT))
    tell(services, END_JOB, id=str(job_id))
    tell(services, WRITE_STEP, id=str(job_id))
    return job_id


def archived_before(services: Services) -> UUID:
    job_id = written_before(services)
    tell(services, ARCHIVE, id=str(job_id))
    return job_id


def succeed(services: Services, held: Sequence[ClaimedJob]) -> None:
    """As a worker ends them, in one set."""
    with services.database.transaction() as tx:
        end_attempts(tx, [Ending(end(job, State.SUCCEEDED, output={})) for job in held])


def unowned(services: Services) -> dict[str, int]:
    """Rows without a project, by table."""
    lacks = "SELECT count(*) AS n FROM {table} WHERE project_id IS NULL"
    return {table: ask(services, lacks.format(table=table))[0].n for table in owners.OWNERS}


def fill_in(services: Services, owners: Owners | None = None) -> float:
    """One round, without the rests; gives when the next one is due."""
    filling = owners or Owners(services)
    while (pause_s := filling.tick()) == REST_S:
        pass
    return pause_s


def test_programs_of_before_write_beside_ours(services: Services) -> None:
    job_id = archived_before(services)
    assert view(services, job_id).output == {"text": "hello"}
    assert [count(services, one) for one in ("job_requests", "job_outcomes")] == [0, 0]
    assert unowned(services)["job_contents"] == 1


def test_with_the_column_in_their_sight_they_would_fail(services: Services) -> None:
    """Why the old names are views."""
    job_id = written_before(services)
    tell(services, "CREATE OR REPLACE VIEW job_payloads AS SELECT " + _columns(services))
    with pytest.raises(ProgrammingError, match="ambiguous"):
        tell(services, ARCHIVE, id=str(job_id))


def _columns(services: Services) -> str:
    found = ask(
        services,
        "SELECT string_agg(attname, ', ' ORDER BY attnum) AS names FROM pg_attribute"
        " WHERE attrelid = 'job_payloads'::regclass AND attnum > 0",
    )
    return f"{found[0].names}, project_id FROM job_requests"


def test_what_ours_write_lacks_nothing(services: Services) -> None:
    given_job(services)
    end_one(services)
    given_archived(services, State.FAILED)
    assert set(unowned(services).values()) == {0}
    assert count(services, "job_contents") == 2


def test_a_retry_from_the_archive_lacks_nothing(services: Services) -> None:
    job_id = given_archived(services, State.FAILED)
    tell(services, "UPDATE job_contents SET project_id = NULL, steps = '{\"answer\": {}}'")
    with services.database.transaction() as tx:
        assert archive.restore(tx, PROJECT, job_id)
    assert count(services, "job_steps") == count(services, "job_outcomes") == 1
    assert set(unowned(services).values()) == {0}


def test_rows_of_before_are_filled_in_once(services: Services) -> None:
    written_before(services)
    archived_before(services)
    retain(services)  # from the default partition to its own
    archived_before(services)
    filling = Owners(services)
    assert set(unowned(services).values()) != {0}
    assert fill_in(services, filling) == SOON_S
    assert set(unowned(services).values()) == {0}
    assert fill_in(services, filling) == LATER_S
    for table in owners.OWNERS:
        assert {row.project_id for row in ask(services, f"SELECT project_id FROM {table}")} == {
            PROJECT
        }


def test_a_partition_of_the_past_that_is_whole_is_not_read_again(services: Services) -> None:
    given_archived(services, ago=3 * DAY)
    filling = Owners(services)
    fill_in(services, filling)
    tell(services, "UPDATE job_contents SET project_id = NULL")
    assert fill_in(services, filling) == LATER_S
    assert unowned(services)["job_contents"] == 1
    fill_in(services)
    assert unowned(services)["job_contents"] == 0


def test_a_row_without_a_job_stays_as_it_is(services: Services) -> None:
    tell(services, WRITE_STEP, id=str(new_id()))
    assert fill_in(services) == LATER_S


def test_a_row_that_is_locked_is_left_to_the_next_round(services: Services) -> None:
    held, _other = written_before(services), written_before(services)
    with services.database.transaction() as tx:
        rows(tx, "SELECT FROM job_requests WHERE job_id = %(id)s FOR UPDATE", {"id": str(held)})
        fill_in(services)
        assert unowned(services) == {**dict.fromkeys(owners.OWNERS, 0), "job_requests": 1}
    fill_in(services)
    assert set(unowned(services).values()) == {0}


def test_jobs_end_while_rows_are_filled_in(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job whose row is being filled in waits for that, and then ends as any other."""
    held = [claim_one(services, job_id) for job_id in given_jobs(services, 3)]
    tell(services, "UPDATE job_requests SET project_id = NULL")
    filled, go_on = threading.Event(), threading.Event()

    def fill_and_wait(tx: Tx, piece: owners.Piece, first: int, pages: int) -> int:
        found = fill(tx, piece, first, pages)
        if found:
            filled.set()
            assert go_on.wait(60)
        return found

    fill = owners.fill
    monkeypatch.setattr(owners, "fill", fill_and_wait)
    filling = threading.Thread(target=fill_in, args=(services,))
    filling.start()
    assert filled.wait(60)
    ending = threading.Thread(target=succeed, args=(services, held))
    ending.start()
    eventually(lambda: waits_for_locks(services) == 1)
    go_on.set()
    filling.join(60)
    ending.join(60)
    assert count(services, "job_contents") == len(held)
    assert count(services, "job_requests") == count(services, "jobs") == 0
    assert set(unowned(services).values()) == {0}
