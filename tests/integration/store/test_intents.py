"""The intent of a job's first call: in the job's row, and in the journal once anything unusual happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from factory.domain.job import ClaimedJob, Outcome, new_id
from factory.domain.state import State
from factory.pipeline.finish import finish_jobs
from factory.pipeline.run.attempt import Claim, Ending, claim_jobs
from factory.services import Services
from factory.store import journal, moves, restores
from factory.store.archive import EVERY_CALL
from tests.integration.retention.past import count, places
from tests.integration.store.ends import (
    CATALOG,
    claim_with_call,
    detail,
    opened,
    paid,
    succeed,
    write,
)
from tests.integration.store.samples import (
    BROKE,
    ask,
    claim_one,
    close_call,
    end,
    finish,
    given_job,
    given_jobs,
    record_call,
    tell,
    view,
    waits_for_locks,
)

UNKNOWN = (None, 1)
BEFORE = """
UPDATE jobs SET state = 'queued', worker_id = NULL, lease_token = NULL WHERE id = %(id)s
"""
"""As a program of before takes a lease away."""


def calls(services: Services) -> list[tuple[UUID, str, int | None]]:
    found = ask(services, f"SELECT id, status, cost_micros FROM {EVERY_CALL} c ORDER BY id")
    return [(row.id, row.status, row.cost_micros) for row in found]


def test_a_call_that_succeeds_is_never_in_the_journal_of_live_jobs(services: Services) -> None:
    job, call_id = claim_with_call(services, given_job(services))
    assert (count(services, "llm_calls"), calls(services)) == (0, [(call_id, "open", None)])
    [running] = detail(services, job.id).calls
    succeed(services, job, paid(call_id, job))
    assert (count(services, "llm_calls"), calls(services)) == (0, [(call_id, "succeeded", 30)])
    [ended] = detail(services, job.id).calls
    same = ("id", "attempt", "step_key", "provider", "model", "started_at")
    assert [running[name] for name in same] == [ended[name] for name in same]
    assert (ended["step_key"], ended["provider"], ended["model"]) == (
        "answer",
        "openai",
        "gpt-4o-mini",
    )
    assert (running["status"], ended["latency_ms"]) == ("open", 5)
    assert (view(services, job.id).cost_micros, view(services, job.id).input_tokens) == (30, 20)


def _taken_by_upkeep(services: Services, job: ClaimedJob) -> None:
    finish(services, end(job, State.QUEUED, error=BROKE, worker_died=True))


def _taken_by_before(services: Services, job: ClaimedJob) -> None:
    tell(services, BEFORE, id=str(job.id))


def _taken_by_restore(services: Services, _job: ClaimedJob) -> None:
    with services.database.transaction() as tx:
        restores.mark(tx, "base", datetime.now(UTC))
        restores.decide(tx, "released")


@pytest.mark.parametrize("take", [_taken_by_upkeep, _taken_by_before, _taken_by_restore])
def test_whoever_takes_the_lease_leaves_the_call_open(
    services: Services, take: Callable[[Services, ClaimedJob], None]
) -> None:
    job, call_id = claim_with_call(services, given_job(services))
    take(services, job)
    assert _abandoned(services) == 1
    again, second = claim_with_call(services, job.id)
    assert again.unknown_models == ("openai/gpt-4o-mini",)
    succeed(services, again, paid(second, again))
    assert (view(services, job.id).cost_micros, view(services, job.id).unknown_calls) == UNKNOWN
    close_call(services, call_id, job, cost_micros=70)
    assert calls(services) == [(call_id, "succeeded", 70), (second, "succeeded", 30)]
    assert view(services, job.id).cost_micros == 100


def test_without_the_trigger_it_would_be_lost(services: Services) -> None:
    tell(services, "ALTER TABLE jobs DISABLE TRIGGER journal_intent")
    job, _ = claim_with_call(services, given_job(services))
    _taken_by_before(services, job)
    assert calls(services) == []


@pytest.mark.parametrize("program", ["of now", "of before"])
def test_a_job_that_upkeep_fails_has_a_call_of_unknown_cost(
    services: Services, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    if program == "of before":
        counted = "CASE WHEN e.intents = 0 THEN u.cost_micros END, u.unknown_calls + e.intents"
        assert counted in moves.FINISH
        before = moves.FINISH.replace(counted, "u.cost_micros, u.unknown_calls")
        monkeypatch.setattr(moves, "FINISH", before)
    job, call_id = claim_with_call(services, given_job(services))
    finish(services, end(job, State.FAILED, error=BROKE, worker_died=True))
    assert (view(services, job.id).cost_micros, view(services, job.id).unknown_calls) == UNKNOWN
    close_call(services, call_id, job, cost_micros=70)
    assert (view(services, job.id).cost_micros, view(services, job.id).unknown_calls) == (70, 0)


def test_a_call_that_fails_is_journaled_once(services: Services) -> None:
    job, call_id = claim_with_call(services, given_job(services))
    for _ in range(2):
        close_call(services, call_id, job, cost_micros=70, error_type="invalid_output")
    finish(services, end(job, State.QUEUED, error=BROKE))
    assert calls(services) == [(call_id, "failed", 70)]
    assert _abandoned(services) == 0


def test_a_job_may_call_again_after_its_first_call(services: Services) -> None:
    job, call_id = claim_with_call(services, given_job(services))
    close_call(services, call_id, job, cost_micros=70, error_type="provider_unavailable")
    second = opened(services, job)
    succeed(services, job, paid(second, job))
    assert places(services, job.id) == ["jobs_archive"]
    assert calls(services) == [(call_id, "failed", 70), (second, "succeeded", 30)]
    assert view(services, job.id).cost_micros == 100


def test_a_job_that_succeeds_without_its_open_call_stays(services: Services) -> None:
    """Its cost may still become known."""
    job, call_id = claim_with_call(services, given_job(services))
    succeed(services, job)
    assert (places(services, job.id), calls(services)) == (["jobs"], [(call_id, "open", None)])
    assert (view(services, job.id).cost_micros, view(services, job.id).unknown_calls) == UNKNOWN


def test_what_a_row_says_of_an_earlier_lease_means_nothing(services: Services) -> None:
    """A worker of before claims without these columns, and journals its call."""
    job = claim_one(services, given_job(services))
    stale = "UPDATE jobs SET intent_id = gen_random_uuid(), intent_token = lease_token - 1"
    tell(services, stale)
    call_id = opened(services, job)
    assert calls(services) == [(call_id, "open", None)]
    assert len(detail(services, job.id).calls) == 1
    succeed(services, job, paid(call_id, job))
    assert calls(services) == [(call_id, "succeeded", 30)]


def test_a_job_that_was_started_before_has_its_call_in_the_journal(services: Services) -> None:
    job, call_id = claim_with_call(services, given_job(services))
    close_call(services, call_id, job, error_type="provider_unavailable")
    finish(services, end(job, State.QUEUED, error=BROKE))
    claim_with_call(services, job.id)
    assert count(services, "llm_calls") == 2


@pytest.mark.parametrize("taken", [False, True])
def test_a_claim_that_is_made_again_has_one_call(services: Services, taken: bool) -> None:
    """Also if the job was taken from the worker between."""
    claim = Claim(new_id(), given_job(services), CATALOG)
    for _ in range(2):
        with services.database.transaction() as tx:
            [job] = claim_jobs(tx, [claim])
        assert job
        if taken:
            _taken_by_before(services, job)
    if not taken:
        succeed(services, job, paid(claim.call_id, job))
    assert [call_id for call_id, *_ in calls(services)] == [claim.call_id]


def _closed_while_the_lease_is_taken(services: Services) -> None:
    job, call_id = claim_with_call(services, given_job(services))
    taken = Outcome(job.id, job.lease_token, State.QUEUED, error=BROKE, worker_died=True)
    with ThreadPoolExecutor(1) as other:
        with services.database.transaction() as tx:
            moves.finish(tx, [taken])
            closing = other.submit(close_call, services, call_id, job, 70)
            _until(lambda: closing.done() or waits_for_locks(services))
        assert closing.result(60) == {call_id}
    assert calls(services) == [(call_id, "succeeded", 70)]


def test_a_call_that_ends_while_its_lease_is_taken_is_recorded(services: Services) -> None:
    _closed_while_the_lease_is_taken(services)


def test_in_one_statement_its_end_would_be_lost(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "move_to_journal", lambda *_: None)
    with pytest.raises(AssertionError):
        _closed_while_the_lease_is_taken(services)


def test_the_calls_of_others_are_not_touched(services: Services) -> None:
    held: list[Any] = [claim_with_call(services, given_job(services)) for _ in range(2)]
    (job, call_id), (_, other) = held
    record_call(services, job, error_type="provider_unavailable")
    close_call(services, call_id, job, cost_micros=70)
    assert (other, "open", None) in calls(services)
    assert count(services, "llm_calls") == 2


def test_a_worker_and_upkeep_that_fail_the_same_jobs_do_not_wait_for_each_other(
    services: Services,
) -> None:
    """The ends of calls lock rows before the ends of jobs do."""

    def fail_by_worker(held: Sequence[tuple[ClaimedJob, UUID]]) -> None:
        ends = [Ending(end(job, State.FAILED, error=BROKE)) for job, _ in held[:10]]
        for job, call_id in held[10:]:
            failed = replace(paid(call_id, job), error_type="provider_refused", output=None)
            ends.append(Ending(end(job, State.FAILED, error=BROKE), failed))
        write(services, *ends)

    def fail_by_upkeep(held: Sequence[tuple[ClaimedJob, UUID]]) -> None:
        with services.database.transaction() as tx:
            finish_jobs(tx, [Outcome(job.id, job.lease_token, State.FAILED) for job, _ in held])

    with ThreadPoolExecutor(2) as threads:
        for _ in range(5):
            held = [claim_with_call(services, job_id) for job_id in given_jobs(services, 20)]
            for done in [threads.submit(one, held) for one in (fail_by_worker, fail_by_upkeep)]:
                done.result(60)
    assert ask(services, "SELECT FROM jobs WHERE state = 'running'") == []
    assert len(calls(services)) == 100


def _abandoned(services: Services) -> int:
    with services.database.transaction() as tx:
        return journal.open_calls_left(tx)


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
