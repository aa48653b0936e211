"""A job's own limit on its cost, with what was spent before and what nobody knows."""

from __future__ import annotations

from uuid import UUID

import pytest

from factory.domain.job import Outcome
from factory.domain.state import State
from tests.integration.pipeline.bench import Bench, script
from tests.integration.store.samples import ask, claim_one, finish, record_call, tell

SONNET, MINI = "anthropic/claude-sonnet-4-5", "openai/gpt-4o-mini"
FLASH = "gemini/gemini-2.5-flash"
UNBOUNDED = "v0/v0-1.5-md"
"""LiteLLM leaves `max_tokens` out of its calls."""
LONG = {"max_tokens": 2000}
"""Such a call of MINI could cost $0.0012, one of SONNET $0.03."""
TIMED = {**LONG, "timeout_s": 3.0}
"""Long enough for a call that is answered, also beside load."""


def _is_over_budget(bench: Bench, job_id: UUID, calls: int) -> None:
    job = bench.view(job_id)
    assert (job.state, bench.calls(job_id)) == (State.FAILED, calls)
    assert job.error is not None
    assert job.error["type"] == "budget_exceeded"


def test_a_budget_refuses_before_the_call(bench: Bench) -> None:
    job = bench.finished(max_cost_usd="0.000001", input="word " * 200)
    assert (job.state, bench.calls(job.id)) == (State.FAILED, 0)
    assert job.error is not None
    assert job.error["type"] == "budget_exceeded"
    assert ask(bench.services, "SELECT FROM llm_calls") == []


def test_what_earlier_attempts_cost_counts_against_the_budget(bench: Bench) -> None:
    schema = {"type": "object", "not": {}}
    job_id = bench.submit(params={"json_schema": schema, "max_tokens": 2000}, max_cost_usd="0.0012")
    bench.execute(job_id)
    assert bench.calls(job_id) == 1
    tell(bench.services, "UPDATE llm_calls SET cost_micros = 1190")
    bench.make_due(job_id)
    bench.execute(job_id)
    job = bench.view(job_id)
    assert (job.state, bench.calls(job_id)) == (State.FAILED, 1)
    assert job.error is not None
    assert job.error["type"] == "budget_exceeded"


def test_a_call_that_was_never_answered_counts_as_what_it_could_have_cost(bench: Bench) -> None:
    job_id = bench.submit(input=script("hang"), params=TIMED, max_cost_usd="0.0012")
    bench.execute(job_id)
    assert (bench.view(job_id).state, bench.calls(job_id)) == (State.QUEUED, 1)
    bench.make_due(job_id)
    bench.execute(job_id)
    _is_over_budget(bench, job_id, calls=1)


def test_a_call_whose_worker_died_counts_too(bench: Bench) -> None:
    job_id = bench.submit(params=LONG, max_cost_usd="0.0012")
    dead = claim_one(bench.services, job_id)
    record_call(bench.services, dead, closed=False)
    finish(bench.services, Outcome(job_id, dead.lease_token, State.QUEUED, worker_died=True))
    bench.execute(job_id)
    _is_over_budget(bench, job_id, calls=0)


def test_an_unknown_call_that_fits_leaves_room_for_another(bench: Bench) -> None:
    job_id = bench.submit(input=script("hang times=1"), params=TIMED, max_cost_usd="0.0025")
    bench.execute(job_id)
    bench.make_due(job_id)
    bench.execute(job_id)
    assert (bench.view(job_id).state, bench.calls(job_id)) == (State.SUCCEEDED, 2)


def test_a_fallback_counts_what_the_first_model_may_have_cost(bench: Bench) -> None:
    bench.simulator.replace_scripts({"anthropic": "hang"})
    job_id = bench.submit(model=SONNET, fallbacks=[MINI], params=TIMED, max_cost_usd="0.0300")
    bench.execute(job_id)
    assert (bench.view(job_id).state, bench.calls(job_id)) == (State.QUEUED, 1)
    bench.make_due(job_id)
    bench.execute(job_id)
    _is_over_budget(bench, job_id, calls=1)


@pytest.mark.parametrize("text", ["Tell me a story.", "讲一个很长的故事。" * 20, "{[]}" * 100])
@pytest.mark.parametrize(("model", "limit_usd"), [(MINI, "0.00015"), (SONNET, "0.004"), (FLASH, "0.0004")])  # fmt: skip
def test_without_max_tokens_the_answer_gets_as_long_as_the_money_buys(
    bench: Bench, model: str, limit_usd: str, text: str
) -> None:
    job = bench.finished(model=model, input=text, max_cost_usd=limit_usd)
    assert job.state is State.SUCCEEDED
    assert 0 < (job.cost_micros or 0) <= float(limit_usd) * 1_000_000


@pytest.mark.parametrize(("model", "limit_usd"), [(MINI, "0.000022"), (SONNET, "0.0005"), (FLASH, "0.00007")])  # fmt: skip
def test_an_answer_that_the_money_cut_says_so(bench: Bench, model: str, limit_usd: str) -> None:
    job = bench.finished(model=model, max_cost_usd=limit_usd)
    assert job.state is State.SUCCEEDED
    assert (job.output["finish_reason"], job.output["cut_by"]) == ("length", "max_cost_usd")


def test_an_answer_that_its_owner_cut_does_not(bench: Bench) -> None:
    job = bench.finished(params={"max_tokens": 16}, max_cost_usd="1")
    assert job.output["finish_reason"] == "length"
    assert "cut_by" not in job.output


def test_money_for_less_than_a_sentence_calls_nobody(bench: Bench) -> None:
    job = bench.finished(max_cost_usd="0.0000001")
    _is_over_budget(bench, job.id, calls=0)


def test_a_limit_holds_for_embeddings_as_well(bench: Bench) -> None:
    model = "openai/text-embedding-3-small"
    job = bench.finished(model=model, input="word " * 2000, max_cost_usd="0.000001")
    _is_over_budget(bench, job.id, calls=0)


def test_a_model_whose_answers_cannot_be_bounded_is_not_called_within_a_limit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("V0_API_KEY", "key-v0")
    monkeypatch.setenv("V0_API_BASE", "http://127.0.0.1:9")
    job = bench.finished(model=UNBOUNDED, max_cost_usd="1", params=LONG)
    assert job.error is not None
    assert job.error["type"] == "untranslatable"
    assert "leave max_cost_usd out" in job.error["message"]
    assert ask(bench.services, "SELECT FROM llm_calls WHERE cost_micros IS DISTINCT FROM 0") == []

    job = bench.finished(model=UNBOUNDED, fallbacks=[MINI], max_cost_usd="1")
    assert (job.state, bench.calls(job.id)) == (State.SUCCEEDED, 1)
