"""Jobs whose work would hold the loop: deadline and cancel end them, and the others of the worker go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from factory.domain.state import State
from factory.pipeline.run.execute import execute
from tests.integration.pipeline.bench import Bench, timed
from tests.integration.pipeline.receiver import Receiver
from tests.integration.store.samples import tell

ENDS_S = 60.0
"""It takes milliseconds where nothing else runs. On the loop, each of these takes minutes."""
DEADLINE_S = 3.0
ANTHROPIC = "anthropic/claude-haiku-4-5"
UNIQUE = {"uniqueItems": True, "const": [{"n": n} for n in range(6_000)]}
PATTERN = {"pattern": "^(?:a|aa)*$", "const": "a" * 60 + "!"}
USED = {"properties": {name: {"type": "string"} for name in "abcdef"}}
TABLE: dict[str, Any] = {
    "type": "object",
    "properties": {f"p{n}": {"$ref": "#/$defs/used"} for n in range(2_400)},
    "$defs": {"used": USED, **{f"d{n}": {} for n in range(2_400)}},
}
REQUESTS = {
    "slow pattern": {"params": {"json_schema": PATTERN}},
    "slow check": {"params": {"json_schema": UNIQUE}},
    "large translation": {"model": ANTHROPIC, "params": {"json_schema": TABLE}},
}


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


@pytest.mark.parametrize("name", REQUESTS)
def test_a_deadline_ends_a_job_that_would_block_the_loop(bench: Bench, name: str) -> None:
    job_id = bench.submit(**REQUESTS[name], deadline_s=DEADLINE_S)
    worker = bench.worker()
    assert bench.run(timed(execute(worker, [job_id]))) < DEADLINE_S + ENDS_S
    job = bench.view(job_id)
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error["type"] in ("deadline_exceeded", "schema_unusable")


@pytest.mark.parametrize("name", REQUESTS)
def test_a_cancel_ends_a_job_that_would_block_the_loop_and_others_go_on(
    bench: Bench, name: str
) -> None:
    job_id = bench.submit(**REQUESTS[name])
    others = [bench.submit() for _ in range(3)]
    worker = bench.worker()

    async def work() -> float:
        blocking = asyncio.create_task(execute(worker, [job_id]))
        await asyncio.sleep(1.0)  # into its work
        await execute(worker, others)
        worker.cancel(job_id)
        return await timed(blocking)

    assert bench.run(work()) < ENDS_S
    assert bench.view(job_id).state in (State.CANCELLED, State.FAILED)
    assert {bench.view(other).state for other in others} == {State.SUCCEEDED}


def test_a_deadline_ends_the_reading_of_a_huge_answer(odd: Bench, receiver: Receiver) -> None:
    text = "[" + "[]," * 4_000_000 + "[]]"
    message = {"role": "assistant", "content": text}
    answer = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    receiver.status, receiver.answer = 200, json.dumps(answer).encode()
    schema = {"type": "array", "items": {"allOf": [{"type": "array", "maxItems": 9}] * 20}}
    job_id = odd.submit(params={"json_schema": schema}, deadline_s=DEADLINE_S)
    assert odd.run(timed(execute(odd.worker(), [job_id]))) < DEADLINE_S + ENDS_S
    job = odd.view(job_id)
    assert job.error is not None
    assert job.error["type"] == "deadline_exceeded"


def _doubling() -> dict[str, Any]:
    defs: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, "d30": {"type": "object"}}}


def _mutual() -> dict[str, Any]:
    names = [f"t{n}" for n in range(9)]
    properties = {name: {"$ref": f"#/$defs/{name}"} for name in names}
    defs = {name: {"type": "object", "properties": properties} for name in names}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/t0"}}, "$defs": defs}


@pytest.mark.parametrize(
    ("schema", "model"), [(_doubling(), "openai/gpt-4o-mini"), (_mutual(), ANTHROPIC)]
)
def test_what_an_older_version_has_accepted_fails_at_once_and_costs_nothing(
    bench: Bench, schema: dict[str, Any], model: str
) -> None:
    job_id = bench.submit(model=model, params={"json_schema": {"type": "object"}})
    stored = json.dumps({"json_schema": schema})
    tell(bench.services, "UPDATE job_requests SET params = %(params)s", params=stored)
    assert bench.run(timed(execute(bench.worker(), [job_id]))) < ENDS_S
    job = bench.view(job_id)
    assert (job.state, job.cost_micros, job.unknown_calls) == (State.FAILED, 0, 0)
    assert job.error is not None
    assert job.error["type"] == "invalid_request_error"
    assert "its references, each followed, are more than" in job.error["message"]
    assert bench.calls(job_id) == 0
