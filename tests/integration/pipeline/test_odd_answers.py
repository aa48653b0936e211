"""Answers that Postgres would not store: what was paid for is kept, and no job runs for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from factory.domain.state import State
from tests.integration.pipeline.bench import Bench
from tests.integration.pipeline.receiver import Receiver
from tests.integration.store.samples import tell


@pytest.fixture
def odd(bench: Bench, receiver: Receiver) -> Iterator[Bench]:
    """A bench whose OpenAI is the receiver."""
    settings = bench.services.settings.model_copy(update={"openai_base_url": receiver.base_url})
    with asyncio.Runner() as runner:
        odd = Bench(
            replace(bench.services, settings=settings), bench.catalog, bench.simulator, runner
        )
        yield odd
        odd.close()


def _completion(text: str) -> bytes:
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
    }
    usage = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}
    return json.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-mini",
            "choices": [choice],
            "usage": usage,
        }
    ).encode()


def test_a_nul_in_a_text_is_dropped(odd: Bench, receiver: Receiver) -> None:
    receiver.status, receiver.answer = 200, _completion("a\x00b")
    job = odd.finished()
    assert (job.state, job.output["text"]) == (State.SUCCEEDED, "ab")
    assert (job.cost_micros or 0) > 0


def test_a_nul_in_a_parsed_answer_is_dropped(odd: Bench, receiver: Receiver) -> None:
    receiver.status, receiver.answer = 200, _completion(json.dumps({"a\x00": ["\x00b"]}))
    job = odd.finished(params={"json_schema": {"type": "object"}})
    assert (job.state, job.output["parsed"]) == (State.SUCCEEDED, {"a": ["b"]})
    assert (job.cost_micros or 0) > 0


def test_a_nul_in_an_error_fails_the_job_as_any_error(odd: Bench, receiver: Receiver) -> None:
    receiver.status = 400
    receiver.answer = json.dumps({"error": {"message": "b\x00ad", "code": "x\x00"}}).encode()
    job = odd.finished()
    assert job.state is State.FAILED
    assert job.error is not None
    assert (job.error["type"], job.error["code"]) == ("provider_refused", "x")
    assert "bad" in job.error["message"]


def test_an_outcome_that_cannot_be_stored_fails_the_job(bench: Bench) -> None:
    tell(bench.services, "ALTER TABLE job_results ADD CHECK (output IS NULL)")
    job = bench.finished()
    assert job.state is State.FAILED
    assert job.error is not None
    assert "could not be stored" in job.error["message"]
    assert (job.cost_micros or 0) > 0


def test_an_answer_that_cannot_be_journaled_is_unknown_spend(bench: Bench) -> None:
    tell(bench.services, "ALTER TABLE llm_calls ADD CHECK (latency_ms IS NULL)")
    job = bench.finished()
    assert (job.state, job.cost_micros, job.unknown_calls) == (State.FAILED, None, 1)


def test_an_answer_that_we_cannot_use_is_unknown_spend(bench: Bench) -> None:
    job_id = bench.submit()
    schema = '{"json_schema": {"patternProperties": {}}}'
    tell(bench.services, "UPDATE job_payloads SET params = %(params)s", params=schema)
    bench.execute(job_id)
    job = bench.view(job_id)
    assert (job.state, job.cost_micros, job.unknown_calls) == (State.FAILED, None, 1)


def test_a_provider_that_hangs_up_after_the_request_is_unknown_spend(
    odd: Bench, receiver: Receiver
) -> None:
    receiver.status = 0
    job = odd.finished(max_attempts=1)
    assert len(receiver.received) == 1
    assert (job.state, job.cost_micros, job.unknown_calls) == (State.FAILED, None, 1)
