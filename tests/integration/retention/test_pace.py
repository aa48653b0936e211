"""Retention in small steps: a large backlog is moved without holding anybody up."""

from __future__ import annotations

import time

import pytest

from factory.errors import Unavailable
from factory.pipeline.upkeep.retention import LARGEST_BATCH, WORK_S, Retention
from factory.services import Services
from tests.integration.retention.past import count, given_ended, go_round, places
from tests.integration.store.samples import tell

JOBS = 50_000
ENDS_S = 200.0
ENDED_JOBS = """
WITH made AS (
    INSERT INTO jobs (id, project_id, kind, state, lane, provider, priority, max_attempts, finished_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 'completion',
           CASE WHEN mod(n, 10) = 0 THEN 'failed' ELSE 'succeeded' END, 'openai.normal', 'openai',
           'normal', 5, now() - make_interval(secs => 7200 + n)
      FROM generate_series(1, %(jobs)s) n
    RETURNING id
), payloads AS (
    INSERT INTO job_requests (job_id, input)
    SELECT id, jsonb_build_object('text', repeat(md5(id::text), 10)) FROM made
), steps AS (
    INSERT INTO job_steps (job_id, step_key, output)
    SELECT id, 'answer', jsonb_build_object('text', repeat(md5(id::text), 10)) FROM made
), calls AS (
    INSERT INTO llm_calls (id, job_id, project_id, step_key, attempt, provider, model, status)
    SELECT gen_random_uuid(), id, gen_random_uuid(), 'answer', 1, 'openai', 'gpt-4o-mini', 'succeeded' FROM made
)
INSERT INTO job_outcomes (job_id, output, input_tokens, output_tokens, cached_tokens, unknown_calls)
SELECT id, jsonb_build_object('text', repeat(md5(id::text), 10)), 1, 1, 0, 0 FROM made
"""


def test_fifty_thousand_jobs_move_in_short_steps(services: Services) -> None:
    tell(services, ENDED_JOBS, jobs=JOBS)
    for table in ("jobs", "job_requests", "job_outcomes", "job_steps", "llm_calls"):
        tell(services, f"ANALYZE {table}")
    retention = Retention(services)
    ticks_s = []
    while not ticks_s or count(services, "jobs"):
        began = time.monotonic()
        retention.tick()
        ticks_s.append(time.monotonic() - began)
        assert sum(ticks_s) < ENDS_S
    assert count(services, "jobs_archive") == count(services, "job_contents") == JOBS
    # The middle of them: another program on this machine may take any one tick's processor.
    assert sorted(ticks_s)[len(ticks_s) // 2] < 2 * WORK_S


class SlowClock:
    """Each look at it takes the time that the test says."""

    def __init__(self, step_s: float) -> None:
        self.now_s, self.step_s = 0.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def test_batches_shrink_while_they_take_long_and_grow_while_they_are_quick(
    services: Services,
) -> None:
    clock = SlowClock(step_s=0.3)
    retention = Retention(services, clock)
    sizes = []
    for step_s in (0.3, 0.3, 0.3, 0.001, 0.001, 0.001, 0.001, 0.001, 0.001):
        clock.step_s = step_s
        retention._move_batch(retention._batch)
        sizes.append(retention._batch)
    assert sizes == [50, 25, 12, 24, 48, 96, 192, 384, 768]
    retention._move_batch(768)
    assert retention._batch == LARGEST_BATCH


def test_a_batch_that_fails_is_followed_by_a_smaller_one(services: Services) -> None:
    """Else a batch that is too large for its time would fail for ever."""
    job_id = given_ended(services)
    retention = Retention(services)
    with services.database.transaction() as tx:
        tx.exec_driver_sql("SELECT FROM job_requests FOR UPDATE")
        with pytest.raises(Unavailable):
            go_round(retention)
        assert places(services, job_id) == ["jobs"]
    assert retention._batch == LARGEST_BATCH // 20
    go_round(retention)
    assert places(services, job_id) == ["jobs_archive"]
