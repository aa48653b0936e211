"""Every call passes the gate, whatever its kind; and what a provider has limited is left alone by all workers."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from typing import NoReturn
from uuid import UUID

import pytest

from factory.calls.passage import Passage
from factory.domain.job import Kind, NewJob, new_id, public_id
from factory.domain.lanes import Priority
from factory.domain.message import Message, Params, Role
from factory.domain.state import State
from factory.errors import ProviderAuthFailed, RateLimited
from factory.limits.budget import Budget, CallSize
from factory.limits.cooldown import KEY
from factory.llm.call import CallTrace, ProviderClient
from factory.llm.endpoint import endpoint_of
from factory.pipeline.run.attempt import Claim, claim_jobs
from factory.pipeline.run.worker import Worker
from factory.services import connect_redis
from factory.simulator.journal import Phase
from factory.store.archive import EVERY_CALL
from tests.integration.pipeline.bench import OPENAI, Bench, script, until
from tests.integration.store.samples import PROJECT, ask

OTHER = "openai/gpt-4o"
ANTHROPIC, GEMINI = "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"
SMALL, GEMINI_SMALL = "openai/text-embedding-3-small", "gemini/gemini-embedding-001"
WAIT_S = 600
LIMITED = script(f"status=429 retry_after={WAIT_S}")
NO_LIMIT = Budget(None, 0, CallSize(0, None))
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def nothing_cools_down(bench: Bench) -> None:
    bench.services.limiter.delete(KEY)


def passes(bench: Bench) -> Counter[str]:
    """How many calls the gate let pass, by job: each has its intent in the journal."""
    return Counter(
        public_id(row.job_id) for row in ask(bench.services, f"SELECT * FROM {EVERY_CALL} c")
    )


def requests(bench: Bench) -> Counter[str]:
    """How many requests reached the providers, by the job that their headers name."""
    entries = bench.simulator.calls()
    return Counter(entry.job or "" for entry in entries if entry.phase is Phase.RECEIVED)


def searched(bench: Bench) -> UUID:
    asked = {"query": "a cat", "limit": 2}
    job = NewJob(new_id(), PROJECT, Kind.SEARCH, "openai", Priority.HIGH, asked, model=SMALL)
    bench.give(job)
    bench.execute(job.id)
    return job.id


def test_every_call_of_every_kind_and_fallback_passes_the_gate(bench: Bench) -> None:
    bench.simulator.replace_scripts({"anthropic": "status=529"})
    again = bench.submit(input=script("status=500 times=1"))
    for _ in range(2):
        bench.execute(again)
        bench.make_due(again)
    bench.finished()
    bench.finished(model=ANTHROPIC, fallbacks=[GEMINI, OPENAI])
    bench.finished(model=GEMINI_SMALL, input=[f"text {n}" for n in range(101)])
    searched(bench)
    assert requests(bench) == passes(bench)
    assert sorted(requests(bench).values()) == [1, 1, 2, 2, 2]


def test_a_call_that_goes_by_the_gate_would_be_noticed(bench: Bench) -> None:
    """The control: the client is used by itself, for a job that has passed the gate once."""
    job = bench.finished()
    settings, model = bench.services.settings, bench.catalog.find(OPENAI)

    async def go_by() -> None:
        client = ProviderClient(settings)
        trace = CallTrace(public_id(job.id), "answer", 1)
        said = [Message(Role.USER, "hello")]
        await client.complete(model, said, Params(), trace, endpoint_of(settings, model))
        await client.close()

    bench.run(go_by())
    assert requests(bench) != passes(bench)


def limited_by_another(bench: Bench) -> Worker:
    """A worker that has heard of the 429 that another one met."""
    one, other = bench.worker(), bench.worker()
    bench.execute(bench.submit(input=LIMITED), worker=one)
    bench.run(until(lambda: not other.means.gate.cooldowns.none, PATIENCE_S))
    return other


def test_after_one_429_no_worker_calls_the_model_until_the_time_that_was_named(
    bench: Bench,
) -> None:
    other = limited_by_another(bench)
    job_id = bench.submit()
    bench.execute(job_id, worker=other)
    job = bench.view(job_id)
    assert (job.state, job.attempt, job.deferrals) == (State.QUEUED, 0, 1)
    assert WAIT_S / 2 < bench.wait_s(job_id) <= WAIT_S * 1.25
    assert (bench.calls(job_id), passes(bench)[public_id(job_id)]) == (0, 0)
    [row] = ask(bench.services, "SELECT last_error FROM jobs WHERE id = %(id)s", id=str(job_id))
    assert row.last_error["type"] == "rate_limited"
    assert OPENAI in row.last_error["message"]


def test_other_models_and_fallbacks_are_called_meanwhile(bench: Bench) -> None:
    other = limited_by_another(bench)
    free = bench.submit(model=OTHER)
    served = bench.submit(fallbacks=[OTHER])
    bench.execute(free, served, worker=other)
    for job_id in (free, served):
        assert (bench.view(job_id).state, bench.calls(job_id)) == (State.SUCCEEDED, 1)


def test_another_credential_of_the_model_is_called_meanwhile(bench: Bench) -> None:
    limited_by_another(bench)
    settings = bench.services.settings.model_copy(update={"openai_api_key": "another"})
    other = bench.worker(replace(bench.services, settings=settings))
    bench.run(until(lambda: not other.means.gate.cooldowns.none, PATIENCE_S))
    job_id = bench.submit()
    bench.execute(job_id, worker=other)
    assert bench.view(job_id).state is State.SUCCEEDED


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
def test_a_call_too_big_for_what_is_left_of_a_limit_holds_nobody_else(
    bench: Bench, model: str
) -> None:
    """The control is every test above: without a word of what is left, all calls of the model wait."""
    one = bench.worker()
    big, small = (
        bench.submit(model=model, input=asked)
        for asked in (script(f"status=429 retry_after={WAIT_S} left=1000"), "Name three primes.")
    )
    bench.execute(big, worker=one)
    bench.execute(small, worker=one)
    assert bench.view(big).state is State.QUEUED
    assert bench.wait_s(big) > WAIT_S / 2
    assert bench.view(small).state is State.SUCCEEDED


def test_without_the_limiters_redis_each_worker_finds_out_by_itself(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """The control of the shared wait, and what is left without it."""
    with caplog.at_level(logging.WARNING), connect_redis("redis://127.0.0.1:1/0") as nowhere:
        alone = bench.worker(replace(bench.services, limiter=nowhere))
        limited_by_another(bench)
        job_id, next_id = bench.submit(input=LIMITED), bench.submit()
        bench.execute(job_id, worker=alone)
        assert bench.calls(job_id) == 1
        bench.execute(next_id, worker=alone)
        assert (bench.view(next_id).state, bench.calls(next_id)) == (State.QUEUED, 0)
        bench.run(until(lambda: "rate limits are not shared" in caplog.text, PATIENCE_S))


def test_a_429_that_names_no_time_to_wait_holds_nothing(bench: Bench) -> None:
    worker = bench.worker()
    bench.execute(bench.submit(input=script("status=429 retry_after=0")), worker=worker)
    assert worker.means.gate.cooldowns.none
    job_id = bench.submit()
    bench.execute(job_id, worker=worker)
    assert bench.view(job_id).state is State.SUCCEEDED


async def never(_passage: Passage) -> NoReturn:
    raise AssertionError("the gate let it pass")


def test_an_intent_that_went_with_the_claim_is_closed_at_no_cost(bench: Bench) -> None:
    worker, job_id = bench.worker(), bench.submit()
    with bench.services.database.transaction() as tx:
        [job] = claim_jobs(tx, [Claim(worker.id, job_id, bench.catalog)])
    assert job is not None
    assert job.first_call is not None
    bench.execute(bench.submit(input=LIMITED), worker=worker)
    model = bench.catalog.find(OPENAI)
    with pytest.raises(RateLimited) as refused:
        bench.run(worker.means.gate.call(job, "answer", model, NO_LIMIT, never, job.first_call))
    assert refused.value.retry_after_s is not None
    assert WAIT_S / 2 < refused.value.retry_after_s <= WAIT_S
    [row] = ask(
        bench.services, f"SELECT * FROM {EVERY_CALL} c WHERE id = %(id)s", id=str(job.first_call)
    )
    assert (row.status, row.error_type, row.cost_micros) == ("failed", "rate_limited", 0)


def test_without_a_credential_no_intent_is_written(bench: Bench) -> None:
    settings = bench.services.settings.model_copy(update={"gemini_api_key": None, "google_api_key": None})  # fmt: skip
    worker, job_id = bench.worker(replace(bench.services, settings=settings)), bench.submit()
    with bench.services.database.transaction() as tx:
        [job] = claim_jobs(tx, [Claim(worker.id, job_id, bench.catalog, refuses=lambda _: True)])
    assert job is not None
    assert job.first_call is None
    model = bench.catalog.find(GEMINI)
    with pytest.raises(ProviderAuthFailed, match="GOOGLE_API_KEY is not set"):
        bench.run(worker.means.gate.call(job, "answer", model, NO_LIMIT, never))
    assert passes(bench)[public_id(job_id)] == 0
