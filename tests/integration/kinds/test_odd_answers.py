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


@pytest.mark.parametrize("odd_text", ["a\x00b", "a\ud800b"])
def test_what_postgres_refuses_in_a_text_is_replaced(
    odd: Bench, receiver: Receiver, odd_text: str
) -> None:
    receiver.status, receiver.answer = 200, _completion(odd_text)
    job = odd.finished()
    assert (job.state, job.output["text"]) == (State.SUCCEEDED, "a\ufffdb")
    assert (job.cost_micros or 0) > 0


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (json.dumps({"a\x00": ["\x00b"]}), {"a\ufffd": ["\ufffdb"]}),
        ('{"a": "\\ud800"}', {"a": "\ufffd"}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ('{"n": 123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
        ('{"n": NaN}', {"n": "NaN"}),
        ('{"n": 1, "n": 2}', {"n": 2}),
    ],
)
def test_an_answer_in_json_is_read_as_json_reads_it(
    odd: Bench, receiver: Receiver, text: str, parsed: object
) -> None:
    receiver.status, receiver.answer = 200, _completion(text)
    job = odd.finished(params={"json_schema": {"type": "object"}})
    assert (job.state, job.output["parsed"]) == (State.SUCCEEDED, parsed)
    assert (job.cost_micros or 0) > 0


def test_an_answer_in_broken_utf_8_is_kept(odd: Bench, receiver: Receiver) -> None:
    body = _completion("ab").replace(b"ab", b"a\xffb")
    receiver.status, receiver.answer = 200, b"\xef\xbb\xbf" + body
    job = odd.finished()
    assert (job.state, job.output["text"]) == (State.SUCCEEDED, "a\ufffdb")
    assert (job.cost_micros or 0) > 0


def test_a_schema_that_breaks_its_check_is_refused_before_it_costs(
    odd: Bench, receiver: Receiver
) -> None:
    job_id = odd.submit(params={"json_schema": {"type": "object"}})
    schema = '{"json_schema": {"$ref": "#/x", "x": {"type": 5}}}'
    tell(odd.services, "UPDATE job_requests SET params = %(params)s", params=schema)
    odd.execute(job_id)
    job = odd.view(job_id)
    assert (job.state, job.cost_micros, job.unknown_calls) == (State.FAILED, 0, 0)
    assert receiver.received == []


def test_a_result_that_is_too_large_ends_the_job_with_what_was_paid(
    odd: Bench, receiver: Receiver
) -> None:
    receiver.status, receiver.answer = 200, _completion("a" * 9_000_000)
    job = odd.finished()
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error["type"] == "result_too_large"
    assert "RESULT_MAX_BYTES" in job.error["message"]
    assert (job.cost_micros or 0) > 0
    assert job.unknown_calls == 0


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 1000}, {"prompt_tokens": -5}])
def test_an_answer_without_usage_is_kept_at_an_unknown_cost(
    odd: Bench, receiver: Receiver, usage: object
) -> None:
    answer = json.loads(_completion("Hello."))
    receiver.status, receiver.answer = 200, json.dumps(answer | {"usage": usage}).encode()
    job = odd.finished()
    assert (job.state, job.output["text"]) == (State.SUCCEEDED, "Hello.")
    assert (job.cost_micros, job.unknown_calls) == (None, 1)


def test_counts_beyond_64_bits_break_nothing(odd: Bench, receiver: Receiver) -> None:
    answer = json.loads(_completion("Hello."))
    usage = {"prompt_tokens": 10**30, "completion_tokens": 2**63, "total_tokens": 1}
    receiver.status, receiver.answer = 200, json.dumps(answer | {"usage": usage}).encode()
    job = odd.finished()
    assert (job.state, job.cost_micros, job.unknown_calls) == (State.SUCCEEDED, None, 1)


def test_a_nul_in_an_error_fails_the_job_as_any_error(odd: Bench, receiver: Receiver) -> None:
    receiver.status = 400
    receiver.answer = json.dumps({"error": {"message": "b\x00ad", "code": "x\x00"}}).encode()
    job = odd.finished()
    assert job.state is State.FAILED
    assert job.error is not None
    assert (job.error["type"], job.error["code"]) == ("provider_refused", "x\ufffd")
    assert "b\ufffdad" in job.error["message"]


def test_an_outcome_that_cannot_be_stored_fails_the_job(bench: Bench) -> None:
    tell(bench.services, "ALTER TABLE job_contents ADD CHECK (output IS NULL)")
    job = bench.finished()
    assert job.state is State.FAILED
    assert job.error is not None
    assert "could not be stored" in job.error["message"]
    assert (job.cost_micros or 0) > 0


def test_an_answer_that_cannot_be_journaled_is_unknown_spend(bench: Bench) -> None:
    for table in ("llm_calls", "llm_calls_archive"):
        tell(bench.services, f"ALTER TABLE {table} ADD CHECK (latency_ms IS NULL)")
    job = bench.finished()
    assert (job.state, job.cost_micros, job.unknown_calls) == (State.FAILED, None, 1)


def test_a_request_that_was_never_sent_costs_nothing(bench: Bench) -> None:
    job_id = bench.submit()
    schema = '{"json_schema": {"patternProperties": {}}}'
    tell(bench.services, "UPDATE job_requests SET params = %(params)s", params=schema)
    bench.execute(job_id)
    job = bench.view(job_id)
    assert (job.state, job.cost_micros, job.unknown_calls) == (State.FAILED, 0, 0)


def test_a_provider_that_hangs_up_after_the_request_is_unknown_spend(
    odd: Bench, receiver: Receiver
) -> None:
    receiver.status = 0
    job = odd.finished(max_attempts=1)
    assert len(receiver.received) == 1
    assert (job.state, job.cost_micros, job.unknown_calls) == (State.FAILED, None, 1)
