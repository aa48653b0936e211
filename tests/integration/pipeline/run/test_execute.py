"""Jobs run to their ends: each provider, each kind of failure."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from factory.domain.job import new_id, public_id
from factory.domain.state import State
from factory.llm.catalog import load_catalog
from factory.pipeline.run.attempt import Claim, claim_jobs
from factory.pipeline.run.execute import Observer, execute
from factory.simulator.journal import Phase
from factory.store.archive import EVERY_CALL, EVERY_JOB
from tests.integration.pipeline.bench import Bench, script, timed
from tests.integration.store.samples import ask, tell, view

MODELS = {
    "openai": "openai/gpt-4o-mini",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "ollama": "ollama/llama3.2",
}


@pytest.mark.parametrize("provider", MODELS)
def test_each_provider_answers_once_and_its_usage_is_recorded(bench: Bench, provider: str) -> None:
    job = bench.finished(model=MODELS[provider])
    assert (job.state, job.lane, job.attempt) == (State.SUCCEEDED, f"{provider}.normal", 1)
    assert job.output["text"]
    assert (job.output["provider"], job.output["finish_reason"]) == (provider, "stop")
    [answer] = [
        entry for entry in bench.simulator.calls(public_id(job.id)) if entry.phase is Phase.ANSWERED
    ]
    assert (job.input_tokens, job.output_tokens) == (answer.input_tokens, answer.output_tokens)
    assert job.unknown_calls == 0
    assert (job.cost_micros or 0) > 0 or provider == "ollama"
    assert bench.calls(job.id) == 1


def test_a_job_of_one_call_is_two_commits(bench: Bench) -> None:
    job_id = bench.submit()
    bench.execute(job_id)
    [times] = ask(
        bench.services,
        "SELECT c.started_at - j.started_at AS opened, c.finished_at - j.finished_at AS closed"
        f"  FROM {EVERY_JOB} j JOIN {EVERY_CALL} c ON c.job_id = j.id WHERE j.id = %(id)s",
        id=str(job_id),
    )
    assert (times.opened, times.closed) == (timedelta(0), timedelta(0))


def test_a_claim_that_is_made_again_takes_its_own_call_for_no_other(bench: Bench) -> None:
    job_id = bench.submit(max_cost_usd=0.01)
    claim = Claim(new_id(), job_id, load_catalog(""))
    for _ in range(2):  # as after a commit whose answer was lost
        with bench.services.database.transaction() as tx:
            [claimed] = claim_jobs(tx, [claim])
        assert claimed
        assert (claimed.first_call, claimed.unknown_models) == (claim.call_id, ())
    assert (
        len(
            ask(bench.services, f"SELECT FROM {EVERY_CALL} c WHERE job_id = %(id)s", id=str(job_id))
        )
        == 1
    )


def test_a_model_without_a_price_costs_an_unknown_amount(bench: Bench) -> None:
    job = bench.finished(model="openai/unpriced")
    assert (job.state, job.cost_micros, job.unknown_calls) == (State.SUCCEEDED, None, 1)


def test_a_500_is_retried_after_a_wait_in_postgres(bench: Bench) -> None:
    job_id = bench.submit(input=script("status=500 times=1"))
    bench.execute(job_id)
    waiting = bench.view(job_id)
    assert (waiting.state, waiting.attempt, waiting.deferrals) == (State.QUEUED, 1, 0)
    assert -5 < bench.wait_s(job_id) <= 1
    bench.make_due(job_id)
    bench.execute(job_id)
    done = bench.view(job_id)
    assert (done.state, done.attempt, bench.calls(job_id)) == (State.SUCCEEDED, 2, 2)
    assert done.unknown_calls == 0


def test_the_last_attempt_fails_for_good(bench: Bench) -> None:
    job_id = bench.submit(input=script("status=500"), max_attempts=2)
    for _ in range(3):
        bench.execute(job_id)
        bench.make_due(job_id)
    job = bench.view(job_id)
    assert (job.state, job.attempt, bench.calls(job_id)) == (State.FAILED, 2, 2)
    assert job.error is not None
    assert (job.error["type"], job.error["retryable"]) == ("provider_unavailable", True)


def test_a_429_defers_without_an_attempt_as_long_as_the_provider_asks(bench: Bench) -> None:
    job_id = bench.submit(input=script("status=429 times=2 retry_after=40"), max_attempts=1)
    for deferrals in (1, 2):
        bench.execute(job_id)
        job = bench.view(job_id)
        assert (job.state, job.attempt, job.deferrals) == (State.QUEUED, 0, deferrals)
        assert 35 < bench.wait_s(job_id) <= 50
        bench.make_due(job_id)


def test_a_job_that_was_deferred_goes_on_once_it_may(bench: Bench) -> None:
    job_id = bench.submit(input=script("status=429 times=2 retry_after=0"), max_attempts=1)
    for _ in range(3):
        bench.execute(job_id)
        bench.make_due(job_id)
    assert (bench.view(job_id).state, bench.calls(job_id)) == (State.SUCCEEDED, 3)


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_fails_at_once(bench: Bench, status: int) -> None:
    job = bench.finished(input=script(f"status={status}"))
    assert (job.state, job.attempt, bench.calls(job.id)) == (State.FAILED, 1, 1)
    assert job.error is not None
    assert job.error["type"] == "provider_refused"
    assert (job.cost_micros, job.unknown_calls) == (0, 0)


def test_an_answer_cut_off_is_unknown_spend(bench: Bench) -> None:
    job = bench.finished(input=script("cut"), max_attempts=1)
    assert (job.state, job.cost_micros, job.unknown_calls) == (State.FAILED, None, 1)


def test_a_call_that_takes_too_long_is_unknown_spend_and_retried(bench: Bench) -> None:
    job = bench.finished(input=script("hang"), params={"timeout_s": 2.0})
    assert (job.state, job.attempt) == (State.QUEUED, 1)
    [call] = ask(bench.services, f"SELECT status, error_type, cost_micros FROM {EVERY_CALL} c")
    assert (call.status, call.error_type, call.cost_micros) == ("failed", "provider_timeout", None)


def test_the_first_fallback_that_answers_serves_the_job(bench: Bench) -> None:
    bench.simulator.replace_scripts({"anthropic": "status=529", "gemini": "status=429"})
    job = bench.finished(model=MODELS["anthropic"], fallbacks=[MODELS["gemini"], MODELS["openai"]])
    assert (job.state, job.output["provider"], job.attempt) == (State.SUCCEEDED, "openai", 1)
    providers = [
        row.provider
        for row in ask(bench.services, f"SELECT provider FROM {EVERY_CALL} c ORDER BY id")
    ]
    assert providers == ["anthropic", "gemini", "openai"]


def test_a_refusal_is_not_paid_for_twice_at_a_fallback(bench: Bench) -> None:
    bench.simulator.replace_scripts({"anthropic": "status=400"})
    job = bench.finished(model=MODELS["anthropic"], fallbacks=[MODELS["openai"]])
    assert (job.state, bench.calls(job.id)) == (State.FAILED, 1)


def test_where_all_are_limited_the_job_waits(bench: Bench) -> None:
    bench.simulator.replace_scripts({"anthropic": "status=429", "openai": "status=429"})
    job = bench.finished(model=MODELS["anthropic"], fallbacks=[MODELS["openai"]])
    assert (job.state, job.attempt, job.deferrals) == (State.QUEUED, 0, 1)


def test_a_deadline_ends_a_running_job(bench: Bench) -> None:
    job_id = bench.submit(input=script("hang"), deadline_s=60)
    worker = bench.worker()
    soon = "UPDATE jobs SET deadline_at = now() + interval '3 seconds'"  # the call begins before
    tell(bench.services, soon)
    bench.execute(job_id, worker=worker)
    job = bench.view(job_id)
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error["type"] == "deadline_exceeded"
    assert job.unknown_calls == 1


def test_a_job_past_its_deadline_calls_nobody(bench: Bench) -> None:
    job_id = bench.submit(deadline_s=0.001)
    bench.execute(job_id)
    assert (bench.view(job_id).state, bench.calls(job_id)) == (State.FAILED, 0)


def test_an_answer_in_the_schema_is_parsed(bench: Bench) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    job = bench.finished(params={"json_schema": schema})
    assert job.state is State.SUCCEEDED
    assert isinstance(job.output["parsed"]["name"], str)
    assert isinstance(job.output["parsed"]["age"], int)


def test_an_answer_out_of_the_schema_is_paid_for_and_asked_again(bench: Bench) -> None:
    # The simulator fills a schema as far as it can; `false` nothing fits.
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "not": {}}
    job_id = bench.submit(params={"json_schema": schema}, max_attempts=2)
    for _ in range(2):
        bench.execute(job_id)
        bench.make_due(job_id)
    job = bench.view(job_id)
    assert (job.state, bench.calls(job_id), job.unknown_calls) == (State.FAILED, 2, 0)
    assert job.error is not None
    assert job.error["type"] == "invalid_output"
    assert (job.cost_micros or 0) > 0


def test_a_hint_that_came_twice_runs_the_job_once(bench: Bench) -> None:
    job_id = bench.submit(input=script("latency_ms=100"))
    first, second = bench.worker(), bench.worker()

    async def work() -> None:
        hints = [execute(worker, [job_id, job_id]) for worker in (first, first, second)]
        await asyncio.gather(*hints)

    bench.run(work())
    bench.execute(job_id)
    assert bench.view(job_id).state is State.SUCCEEDED
    assert bench.calls(job_id) == 1


def test_the_jobs_of_a_hint_run_at_once_and_end_apart(bench: Bench) -> None:
    slow = [bench.submit(input=script("latency_ms=3000")) for _ in range(10)]
    bad = bench.submit(input=script("status=400"))
    ended: dict[UUID, State | None] = {}
    observer = Observer(ended=lambda one, state, _error: ended.update({one: state}))
    took_s = bench.run(timed(execute(bench.worker(), [*slow, bad, new_id()], observer)))
    assert took_s < 25  # one after the other: 30
    assert sorted(map(str, ended.values())) == ["None", "failed", *["succeeded"] * 10]
    assert {bench.view(job_id).state for job_id in slow} == {State.SUCCEEDED}
    assert bench.view(bad).state is State.FAILED


def test_a_failure_of_the_platform_itself_is_a_failed_attempt(bench: Bench) -> None:
    job_id = bench.submit(max_attempts=2)
    tell(bench.services, "UPDATE job_requests SET input = '{}'")
    bench.execute(job_id)
    assert bench.view(job_id).state is State.QUEUED
    bench.make_due(job_id)
    bench.execute(job_id)
    job = view(bench.services, job_id)
    assert (job.state, job.attempt) == (State.FAILED, 2)
    assert job.error is not None
    assert job.error["type"] == "internal_error"
    assert job.error["message"] == "internal error: KeyError"
