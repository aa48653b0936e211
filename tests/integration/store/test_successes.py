"""Jobs that succeed end in the archive, and whoever looks notices no difference."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from factory.domain.job import ClaimedJob, Outcome, new_id
from factory.domain.money import Usage
from factory.domain.state import State
from factory.pipeline.finish import finish_jobs
from factory.pipeline.run.attempt import Ending
from factory.services import Services
from factory.store import jobs, journal, moves, successes
from factory.store.codec import told_job
from factory.store.successes import Success
from tests.integration.retention.past import count, places
from tests.integration.store.ends import (
    OUTPUT,
    detail,
    kept_live,
    opened,
    paid,
    succeed,
    totals,
    write,
)
from tests.integration.store.samples import (
    BROKE,
    HOOK,
    PROJECT,
    ask,
    claim,
    claim_one,
    close_call,
    end,
    finish,
    given_job,
    given_jobs,
    given_worker,
    record_call,
    state_of,
    view,
    webhooks_of,
)

LIVE = ("jobs", "job_requests", "job_outcomes", "job_steps", "llm_calls")
ARCHIVE = ("jobs_archive", "job_contents", "llm_calls_archive")


def test_nothing_of_it_stays_among_the_live_ones(services: Services) -> None:
    job = claim_one(services, given_job(services))
    record_call(services, job, cost_micros=70, error_type="invalid_output")
    assert succeed(services, job, paid(opened(services, job), job)) is State.SUCCEEDED
    assert [count(services, table) for table in LIVE] == [0] * len(LIVE)
    assert [count(services, table) for table in ARCHIVE] == [1, 1, 2]


def test_it_is_shown_as_if_it_had_stayed(services: Services) -> None:
    given = {"metadata": {"a": "b"}, "webhook_url": HOOK, "fallbacks": ("openai/gpt-4o",)}
    shown = [_ended_after_two_attempts(services, keep=keep, **given) for keep in (False, True)]
    assert shown[0] == shown[1]
    assert (shown[0]["state"], shown[0]["cost_micros"]) == (State.SUCCEEDED, 100)


def _ended_after_two_attempts(services: Services, *, keep: bool, **given: Any) -> dict[str, Any]:
    """What is told of the job, without ids and times."""
    job_id = given_job(services, **given)
    first = claim_one(services, job_id)
    record_call(services, first, cost_micros=70, usage=Usage(10, 5), error_type="invalid_output")
    finish(services, end(first, State.QUEUED, error=BROKE))
    if keep:
        kept_live(services, job_id)
    again = claim_one(services, job_id)
    succeed(services, again, paid(opened(services, again), again))
    assert places(services, job_id) == ["jobs" if keep else "jobs_archive"]
    found = detail(services, job_id)
    told = {name: getattr(found, name) for name in found.__dataclass_fields__}
    for name in ("id", "created_at", "run_at", "started_at", "finished_at", "last_error"):
        del told[name]
    changing = ("id", "started_at")
    told["calls"] = [
        {name: value for name, value in call.items() if name not in changing}
        for call in told["calls"]
    ]
    told["webhook"] = {**told["webhook"], "next_at": None}
    return told


def test_the_call_that_gave_the_answer_is_closed_and_counted_once(services: Services) -> None:
    job = claim_one(services, given_job(services))
    call = paid(opened(services, job), job)
    for _ in range(2):
        succeed(services, job, call)
    [row] = ask(services, "SELECT * FROM llm_calls_archive")
    assert (row.status, row.input_tokens, row.output_tokens, row.cached_tokens) == (
        "succeeded",
        20,
        7,
        2,
    )
    assert (row.cost_micros, row.latency_ms, row.finished_at is None) == (30, 5, False)
    found = totals(services)
    assert (found["jobs_finished_total"], found["llm_requests_total"]) == (1, 1)


@pytest.mark.parametrize("unknown", ["the answer's", "an earlier call's"])
def test_a_price_that_nobody_knows_makes_the_cost_unknown(services: Services, unknown: str) -> None:
    job = claim_one(services, given_job(services))
    last = unknown == "the answer's"
    record_call(services, job, cost_micros=70 if last else None, error_type="provider_timeout")
    succeed(services, job, paid(opened(services, job), job, None if last else 30))
    seen = view(services, job.id)
    assert (seen.cost_micros, seen.unknown_calls) == (None, 1)


def test_a_job_without_a_call_cost_nothing(services: Services) -> None:
    job = claim_one(services, given_job(services))
    succeed(services, job)
    seen = view(services, job.id)
    assert (seen.cost_micros, seen.unknown_calls, seen.output) == (0, 0, OUTPUT)


def test_an_end_that_is_made_again_is_known_as_made(services: Services) -> None:
    job = claim_one(services, given_job(services, webhook_url=HOOK))
    assert [succeed(services, job) for _ in range(3)] == [State.SUCCEEDED] * 3
    assert len(webhooks_of(services, job.id)) == 1
    assert totals(services)["jobs_finished_total"] == 1


def test_the_same_end_twice_in_a_set_counts_once(services: Services) -> None:
    job = claim_one(services, given_job(services, webhook_url=HOOK))
    ending = Ending(end(job, State.SUCCEEDED, output=OUTPUT), paid(opened(services, job), job))
    assert write(services, ending, ending) == [State.SUCCEEDED] * 2
    assert len(webhooks_of(services, job.id)) == 1
    assert totals(services)["llm_requests_total"] == 1


def test_a_late_end_is_stale_and_what_it_paid_is_kept(services: Services) -> None:
    late = claim_one(services, given_job(services))
    call_id = opened(services, late)
    finish(services, end(late, State.QUEUED, error=BROKE, worker_died=True))
    current = claim_one(services, late.id)
    assert succeed(services, late, paid(call_id, late)) is None
    assert state_of(services, late.id) is State.RUNNING
    assert succeed(services, current) is State.SUCCEEDED
    assert succeed(services, late) is None
    assert view(services, late.id).cost_micros == 30


def test_a_set_may_hold_ends_of_all_kinds(services: Services) -> None:
    held = claim(services, given_worker(services), *given_jobs(services, 6))
    kept_live(services, held[4].id)
    opened(services, held[5])
    wanted = [State.SUCCEEDED, State.FAILED, State.QUEUED, *[State.SUCCEEDED] * 3]
    endings = [
        Ending(end(job, state, output=OUTPUT if state is State.SUCCEEDED else None))
        for job, state in zip(held, wanted, strict=True)
    ]
    stale = replace(endings[0], outcome=replace(endings[0].outcome, lease_token=0))
    assert write(services, stale, *endings) == [None, *wanted]
    assert [state_of(services, job.id) for job in held] == wanted
    there = [places(services, job.id) for job in held]
    assert there == [["jobs_archive"], ["jobs"], ["jobs"], ["jobs_archive"], ["jobs"], ["jobs"]]
    assert totals(services)["jobs_finished_total"] == 5


def test_an_earlier_call_without_an_end_keeps_the_job_until_its_cost_is_known(
    services: Services,
) -> None:
    late = claim_one(services, given_job(services))
    call_id = opened(services, late)
    finish(services, end(late, State.QUEUED, error=BROKE, worker_died=True))
    current = claim_one(services, late.id)
    succeed(services, current, paid(opened(services, current), current))
    assert places(services, late.id) == ["jobs"]
    assert view(services, late.id).cost_micros is None
    close_call(services, call_id, late, cost_micros=70)
    assert view(services, late.id).cost_micros == 100


def test_a_job_whose_parent_is_live_stays_with_it(services: Services) -> None:
    parent = given_job(services)
    child = claim_one(services, given_job(services, parent_id=parent))
    succeed(services, child)
    assert places(services, child.id) == ["jobs"]
    orphan = claim_one(services, given_job(services, parent_id=new_id()))
    succeed(services, orphan)
    assert places(services, orphan.id) == ["jobs_archive"]


def test_its_event_is_owed_and_shown_wherever_that_is(services: Services) -> None:
    job = claim_one(services, given_job(services, webhook_url=HOOK, metadata={"a": "b"}))
    succeed(services, job, paid(opened(services, job), job))
    [event] = webhooks_of(services, job.id)
    assert (event.input["type"], event.webhook_url) == ("job.succeeded", HOOK)
    assert told_job(event.input["job"]) == view(services, job.id)
    assert (detail(services, job.id).webhook or {})["state"] == "queued"
    succeed(services, claim_one(services, event.id))
    assert places(services, event.id) == ["jobs_archive"]
    assert (detail(services, job.id).webhook or {})["state"] == "succeeded"
    assert [one.id for one in webhooks_of(services, job.id)] == [event.id]


def test_the_event_of_a_job_that_stays_stays_with_it(services: Services) -> None:
    job = claim_one(services, given_job(services, webhook_url=HOOK))
    write(services, Ending(end(job, State.FAILED, error=BROKE)))
    [event] = webhooks_of(services, job.id)
    succeed(services, claim_one(services, event.id))
    assert places(services, event.id) == ["jobs"]
    assert (detail(services, job.id).webhook or {})["state"] == "succeeded"


def test_a_cancel_does_not_undo_it(services: Services) -> None:
    job = claim_one(services, given_job(services))
    with services.database.transaction() as tx:
        assert moves.request_cancel(tx, PROJECT, job.id) is State.RUNNING
    assert succeed(services, job) is State.SUCCEEDED
    assert view(services, job.id).cancel_requested


def test_whoever_waits_for_it_hears_of_it(services: Services) -> None:
    ended, running = (claim_one(services, given_job(services)) for _ in range(2))
    succeed(services, ended)
    with services.database.transaction() as tx:
        found = jobs.ended(tx, [ended.id, running.id, new_id()])
    assert found == {ended.id}


def test_a_job_of_a_gateway_of_before_is_found_where_that_looks(services: Services) -> None:
    """It asks for the states of live jobs alone, so it would wait in vain."""
    job = claim_one(services, given_job(services))
    kept_live(services, job.id)
    succeed(services, job)
    assert places(services, job.id) == ["jobs"]


def test_a_job_whose_id_comes_from_a_clock_that_was_ahead_is_found(services: Services) -> None:
    week = 7 * 86_400_000
    job = claim_one(services, given_job(services, id=UUID(int=new_id().int + (week << 80))))
    succeed(services, job)
    assert view(services, job.id).output == OUTPUT


def test_workers_and_upkeep_that_end_the_same_jobs_do_not_wait_for_each_other(
    services: Services,
) -> None:
    """A mixed set takes two statements, and each locks rows: all are locked before, in order."""

    def end_by_worker(held: Sequence[ClaimedJob]) -> None:
        states = [State.FAILED if n % 2 else State.SUCCEEDED for n in range(len(held))]
        write(services, *(Ending(end(job, state)) for job, state in zip(held, states, strict=True)))

    def end_by_reaper(held: Sequence[ClaimedJob]) -> None:
        with services.database.transaction() as tx:
            finish_jobs(tx, [Outcome(job.id, job.lease_token, State.FAILED) for job in held])

    with ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            held = claim(services, given_worker(services), *given_jobs(services, 20))
            both = [threads.submit(one, held) for one in (end_by_worker, end_by_reaper)]
            for one in both:
                one.result(60)
    left = "SELECT FROM jobs WHERE state = 'running'"
    assert ask(services, left) == []


def test_only_the_leases_that_hold_are_ended(services: Services) -> None:
    job, other = (claim_one(services, given_job(services)) for _ in range(2))
    stale = Outcome(other.id, job.lease_token, State.SUCCEEDED, output=OUTPUT)
    with services.database.transaction() as tx:
        ends = [Success(stale), Success(end(job, State.SUCCEEDED, output=OUTPUT))]
        assert [one.moved.id for one in successes.finish(tx, ends)] == [job.id]


def test_a_late_intent_finds_no_lease(services: Services) -> None:
    job = claim_one(services, given_job(services))
    succeed(services, job)
    call = journal.Call(new_id(), job.id, job.lease_token, PROJECT, "answer", 1, "openai", "m")
    with services.database.transaction() as tx:
        assert journal.open_calls(tx, [call]) == set()
