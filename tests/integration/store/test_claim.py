"""Claiming: who gets a job, and what comes with it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from factory.domain.job import ClaimedJob
from factory.domain.money import Usage
from factory.domain.state import State
from factory.services import Services
from factory.store import moves
from factory.store.database import rows
from tests.integration.embedded.processes import until
from tests.integration.store.samples import (
    BROKE,
    PROJECT,
    claim,
    claim_one,
    end,
    finish,
    given_job,
    given_jobs,
    given_worker,
    publish,
    record_call,
    state_of,
    tell,
    view,
    waits_for_locks,
)


def test_a_claim_starts_the_first_attempt_and_takes_the_hint_back(services: Services) -> None:
    job_id = given_job(services)
    assert publish(services, "openai.normal", 5) == [job_id]
    job = claim_one(services, job_id)
    assert (job.attempt, job.deferrals, job.steps, job.spent_micros) == (1, 0, {}, 0)
    assert job.input == {"messages": [{"role": "user", "content": "Say hello."}]}
    seen = view(services, job_id)
    assert (seen.state, seen.attempt) == (State.RUNNING, 1)
    assert seen.started_at is not None


def test_a_job_can_be_claimed_without_having_been_published(services: Services) -> None:
    assert claim_one(services, given_job(services)).attempt == 1


def test_a_job_of_the_future_is_not_claimed(services: Services) -> None:
    later = datetime.now(UTC) + timedelta(minutes=1)
    job_id = given_job(services, run_at=later)
    assert claim(services, given_worker(services), job_id) == []
    assert state_of(services, job_id) is State.QUEUED


def test_a_stale_hint_does_not_bring_a_retry_forward(services: Services) -> None:
    job = claim_one(services, given_job(services))
    finish(services, end(job, State.QUEUED, error=BROKE, delay_s=60))
    assert claim(services, given_worker(services), job.id) == []


def test_a_job_without_attempts_left_is_not_claimed(services: Services) -> None:
    job_id = given_job(services, max_attempts=1)
    tell(services, "UPDATE jobs SET attempt = 1 WHERE id = %(id)s", id=str(job_id))
    assert claim(services, given_worker(services), job_id) == []


def test_a_job_that_another_worker_runs_is_not_claimed(services: Services) -> None:
    job = claim_one(services, given_job(services))
    assert claim(services, given_worker(services), job.id) == []
    assert finish(services, end(job, State.SUCCEEDED))


def test_a_worker_takes_its_own_job_again_after_a_claim_that_it_never_heard_of(
    services: Services,
) -> None:
    worker_id, job_id = given_worker(services), given_job(services)
    [unheard] = claim(services, worker_id, job_id)
    [heard] = claim(services, worker_id, job_id)
    assert heard.attempt == unheard.attempt == 1
    assert finish(services, end(unheard, State.FAILED)) == []
    assert finish(services, end(heard, State.SUCCEEDED))


def test_an_unknown_id_claims_nothing(services: Services) -> None:
    assert claim(services, given_worker(services), PROJECT) == []


def test_of_a_set_those_are_claimed_that_can_be(services: Services) -> None:
    free, gone, taken = given_jobs(services, 3)
    claim_one(services, taken)
    finish(services, end(claim_one(services, gone), State.SUCCEEDED))
    claimed = claim(services, given_worker(services), taken, free, gone, free)
    assert [job.id for job in claimed] == [free]


def test_two_workers_that_claim_the_same_jobs_at_once_share_them(services: Services) -> None:
    job_ids = given_jobs(services, 50)
    start = threading.Barrier(2)
    claimed: list[ClaimedJob] = []

    def work() -> None:
        worker_id = given_worker(services)
        start.wait(60)
        claimed.extend(claim(services, worker_id, *job_ids))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(job.id for job in claimed) == sorted(job_ids)
    assert len({job.lease_token for job in claimed}) == 50


def test_a_claim_waits_for_who_holds_the_row_and_leaves_it_as_it_was(services: Services) -> None:
    job_id, worker_id = given_job(services), given_worker(services)
    with ThreadPoolExecutor(1) as pool:
        with services.database.transaction() as tx:
            rows(tx, "SELECT FROM jobs WHERE id = %(id)s FOR UPDATE", {"id": str(job_id)})
            claiming = pool.submit(claim, services, worker_id, job_id)
            until(lambda: claiming.done() or waits_for_locks(services))
        assert [job.id for job in claiming.result()] == [job_id]


def test_a_later_attempt_knows_the_steps_and_the_cost_of_the_earlier(services: Services) -> None:
    job = claim_one(services, given_job(services))
    record_call(services, job, cost_micros=70, usage=Usage(10, 5), output={"text": "paid"})
    finish(services, end(job, State.QUEUED, error=BROKE))
    again = claim_one(services, job.id)
    assert (again.attempt, again.spent_micros) == (2, 70)
    assert again.steps == {"answer": {"text": "paid"}}


def test_a_drained_job_keeps_its_steps_although_it_is_again_at_its_first_attempt(
    services: Services,
) -> None:
    job = claim_one(services, given_job(services))
    record_call(services, job, cost_micros=70, output={"text": "paid"})
    finish(services, end(job, State.QUEUED, spends_attempt=False))
    again = claim_one(services, job.id)
    assert (again.attempt, again.spent_micros) == (1, 70)
    assert again.steps == {"answer": {"text": "paid"}}


def test_a_retry_by_the_owner_keeps_what_the_only_attempt_paid_for(services: Services) -> None:
    job = claim_one(services, given_job(services, max_attempts=1))
    record_call(services, job, cost_micros=70, output={"text": "paid"})
    finish(services, end(job, State.FAILED, error=BROKE))
    with services.database.transaction() as tx:
        assert moves.retry(tx, PROJECT, job.id)
    again = claim_one(services, job.id)
    assert (again.attempt, again.spent_micros) == (1, 70)
    assert again.steps == {"answer": {"text": "paid"}}


def test_the_time_left_is_counted_by_the_database(services: Services) -> None:
    job = claim_one(services, given_job(services, deadline_s=30.0))
    assert job.seconds_left is not None
    assert 25 < job.seconds_left <= 30
    assert claim_one(services, given_job(services)).seconds_left is None
