"""Ended jobs move to the archive: all that is theirs, once, whoever moves them and whatever dies meanwhile."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta
from uuid import UUID

import psycopg2
import pytest

from factory.domain.state import State
from factory.pipeline.upkeep.retention import Retention
from factory.services import Services
from factory.store import archive, journal
from factory.store.database import rows
from tests.integration.retention.past import (
    COST_MICROS,
    DAY,
    HOUR,
    count,
    find,
    given_ended,
    move,
    places,
    retain,
    set_ended,
)
from tests.integration.store.samples import (
    HOOK,
    ask,
    claim_one,
    close_call,
    end,
    finish,
    given_job,
    given_state,
    record_call,
    tell,
    view,
    webhooks_of,
)

LIVE_TABLES = ("jobs", "job_requests", "job_outcomes", "job_steps", "llm_calls")


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_an_ended_job_moves_with_all_that_is_its_own(services: Services, state: State) -> None:
    job_id = given_ended(services, state, metadata={"customer": "42"})
    before = view(services, job_id)
    retain(services)
    assert places(services, job_id) == ["jobs_archive"]
    assert [count(services, table) for table in LIVE_TABLES] == [0] * len(LIVE_TABLES)
    assert count(services, "llm_calls_archive") == 1
    assert view(services, job_id) == before


def test_the_usage_moves_along(services: Services) -> None:
    job_id = given_ended(services)
    retain(services)
    job = view(services, job_id)
    assert (job.input_tokens, job.output_tokens, job.cost_micros) == (3, 5, COST_MICROS)


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.WAITING])
def test_a_live_job_stays(services: Services, state: State) -> None:
    job_id, _ = given_state(services, state)
    tell(services, "UPDATE jobs SET created_at = now() - interval '1 year'")
    retain(services)
    assert places(services, job_id) == ["jobs"]


def test_a_job_that_ended_just_now_stays(services: Services) -> None:
    job_id = given_ended(services, ago=HOUR - timedelta(minutes=1))
    retain(services)
    assert places(services, job_id) == ["jobs"]


def test_webhook_jobs_move_too(services: Services) -> None:
    job_id = given_ended(services, webhook_url=HOOK)
    [webhook] = webhooks_of(services, job_id)
    finish(services, end(claim_one(services, webhook.id), State.SUCCEEDED))
    set_ended(services, webhook.id, view(services, job_id).created_at - 2 * HOUR)
    retain(services)
    assert places(services, webhook.id) == ["jobs_archive"]


def test_moved_twice_is_moved_once(services: Services) -> None:
    job_id = given_ended(services)
    assert [move(services), move(services)] == [1, 0]
    retain(services)
    assert places(services, job_id) == ["jobs_archive"]
    assert count(services, "job_contents") == count(services, "llm_calls_archive") == 1


def test_the_oldest_go_first(services: Services) -> None:
    young, old = given_ended(services, ago=2 * HOUR), given_ended(services, ago=3 * HOUR)
    move(services, limit=1)
    assert (places(services, young), places(services, old)) == (["jobs"], ["jobs_archive"])


def test_two_movers_take_different_jobs(services: Services) -> None:
    """The second does not wait for the first, whose batch is not committed yet."""
    job_ids = {given_ended(services) for _ in range(4)}
    with services.database.transaction() as tx:
        assert archive.move(tx, 3600, limit=2) == 2
        assert move(services) == 2
    _assert_each_in_one_place(services, job_ids)
    assert count(services, "jobs") == 0


def test_many_movers_at_once_leave_each_job_in_one_place(services: Services) -> None:
    job_ids = {given_ended(services) for _ in range(60)}
    movers = [threading.Thread(target=_move_all, args=(services,)) for _ in range(4)]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join(timeout=60)
    _assert_each_in_one_place(services, job_ids)
    assert count(services, "job_contents") == count(services, "jobs_archive") == len(job_ids)


def _move_all(services: Services) -> None:
    while move(services, limit=5):
        pass


def _assert_each_in_one_place(services: Services, job_ids: set[UUID]) -> None:
    assert {job_id: len(places(services, job_id)) for job_id in job_ids} == dict.fromkeys(
        job_ids, 1
    )


def test_a_mover_that_is_killed_leaves_every_job_where_it_was(
    services: Services, database_url: str
) -> None:
    job_ids = {given_ended(services) for _ in range(5)}
    connection = psycopg2.connect(database_url)
    cursor = connection.cursor()
    cursor.execute(archive.MOVE, {"after_s": 3600, "limit": 1000})
    assert cursor.rowcount == 5
    tell(services, "SELECT pg_terminate_backend(%(pid)s)", pid=connection.get_backend_pid())
    with pytest.raises(psycopg2.Error):
        connection.commit()
    connection.close()
    assert {place for job_id in job_ids for place in places(services, job_id)} == {"jobs"}
    assert count(services, "job_contents") == count(services, "llm_calls_archive") == 0
    retain(services)
    _assert_each_in_one_place(services, job_ids)


def test_a_round_cut_short_is_taken_up_by_the_next_dispatcher(services: Services) -> None:
    job_id = given_ended(services)
    seconds = itertools.count()
    Retention(services, lambda: next(seconds)).tick()
    assert count(services, "jobs") == 1
    retain(services)
    assert places(services, job_id) == ["jobs_archive"]


def test_a_job_with_an_unended_call_waits_a_day_for_its_end(services: Services) -> None:
    job_id = given_job(services)
    held = claim_one(services, job_id)
    call_id = record_call(services, held, closed=False)
    finish(services, end(held, State.CANCELLED))
    set_ended(services, job_id, view(services, job_id).created_at - 23 * HOUR)
    retain(services)
    assert places(services, job_id) == ["jobs"]
    close_call(services, call_id, held, cost_micros=7)
    retain(services)
    job = view(services, job_id)
    assert places(services, job_id) == ["jobs_archive"]
    assert (job.cost_micros, job.unknown_calls) == (7, 0)


def test_after_a_day_the_spend_stays_unknown_and_is_shown_so(services: Services) -> None:
    job_id = given_job(services)
    held = claim_one(services, job_id)
    record_call(services, held, closed=False)
    finish(services, end(held, State.CANCELLED))
    set_ended(services, job_id, view(services, job_id).created_at - DAY - HOUR)
    retain(services)
    job = view(services, job_id)
    assert places(services, job_id) == ["jobs_archive"]
    assert (job.cost_micros, job.unknown_calls) == (None, 1)
    with services.database.transaction() as tx:
        assert journal.open_calls_left(tx) == 1


def test_a_job_without_its_payload_holds_up_no_other(services: Services) -> None:
    broken, whole = given_ended(services), given_ended(services)
    tell(services, "DELETE FROM job_requests WHERE job_id = %(id)s", id=str(broken))
    retain(services)
    assert places(services, broken) == places(services, whole) == ["jobs_archive"]
    found = find(services, broken)
    assert found is not None
    assert found.expired


def test_only_failed_jobs_keep_their_steps(services: Services) -> None:
    """They are for the retry; what succeeded has its answer in the output."""
    failed, succeeded = given_ended(services, State.FAILED), given_ended(services)
    retain(services)
    found = ask(services, "SELECT job_id, steps FROM job_contents")
    assert {row.job_id: row.steps for row in found} == {
        failed: {"answer": {"text": "hello"}},
        succeeded: None,
    }


def test_the_move_finds_its_jobs_by_their_index(services: Services) -> None:
    tell(services, MANY_LIVE)
    for table in LIVE_TABLES:
        tell(services, f"ANALYZE {table}")
    with services.database.transaction() as tx:
        found = rows(tx, f"EXPLAIN {archive.MOVE}", {"after_s": 3600, "limit": 100})
    plan = "\n".join(row[0] for row in found)
    assert "ix_jobs_finished" in plan
    assert not [table for table in LIVE_TABLES if f"Seq Scan on {table} " in plan]


MANY_LIVE = """
WITH made AS (
    INSERT INTO jobs (id, project_id, kind, state, lane, provider, priority, max_attempts, finished_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 'completion',
           CASE WHEN mod(n, 2) = 0 THEN 'queued' ELSE 'succeeded' END, 'openai.normal', 'openai',
           'normal', 5, CASE WHEN mod(n, 2) = 1 THEN now() - interval '2 hours' END
      FROM generate_series(1, 20000) n
    RETURNING id
), payloads AS (
    INSERT INTO job_requests (job_id, input) SELECT id, '{}' FROM made
), steps AS (
    INSERT INTO job_steps (job_id, step_key, output) SELECT id, 'answer', '{}' FROM made
), calls AS (
    INSERT INTO llm_calls (id, job_id, project_id, step_key, attempt, provider, model, status)
    SELECT gen_random_uuid(), id, gen_random_uuid(), 'answer', 1, 'openai', 'gpt-4o-mini', 'succeeded' FROM made
)
INSERT INTO job_outcomes (job_id, input_tokens, output_tokens, cached_tokens, unknown_calls)
SELECT id, 1, 1, 0, 0 FROM made
"""
