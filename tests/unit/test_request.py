"""What a request becomes: kind, lane, input, parameters, limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from factory.domain.agent import AgentSpec
from factory.domain.job import Kind, NewJob, new_id
from factory.domain.money import Price
from factory.errors import InvalidInput
from factory.kinds.request import JobRequest
from factory.llm.catalog import Catalog, Model
from factory.pipeline.accept.request import prepare
from factory.webhooks.allowed import PUBLIC_ONLY

PRICE = Price(Decimal("0.00001"), Decimal("0.00002"), Decimal("0.000001"))
CATALOG = Catalog(
    [
        Model("openai", "gpt", "chat", PRICE),
        Model("openai", "unpriced", "chat", None),
        Model("openai", "embed", "embedding", PRICE),
        Model("anthropic", "claude", "chat", PRICE),
    ]
)
SPEC = AgentSpec(
    "writer",
    "openai/gpt",
    system="Be brief.",
    params={"temperature": 0.2, "max_tokens": 100},
    fallbacks=("anthropic/claude",),
)


def _prepare(spec: AgentSpec | None = None, **request: Any) -> NewJob:
    named = {"agent": spec.name} if spec else {"model": "openai/gpt"}
    return prepare(
        CATALOG,
        new_id(),
        JobRequest.model_validate({**named, "input": "Hi.", **request}),
        agent=(spec, 3) if spec else None,
        allowed=PUBLIC_ONLY,
    )


def test_a_chat_model_makes_a_completion() -> None:
    job = _prepare(priority="high")
    assert (job.kind, job.lane, job.model) == (Kind.COMPLETION, "openai.high", "openai/gpt")
    assert job.input == {"messages": [{"role": "user", "content": "Hi."}]}
    assert (job.params, job.fallbacks, job.max_attempts) == ({}, (), 5)


def test_an_embedding_model_makes_an_embedding() -> None:
    job = _prepare(model="openai/embed", input=["a", {"source": "book", "text": "b"}])
    assert job.kind is Kind.EMBEDDING
    assert job.input == {"texts": [["input[0]", "a"], ["book", "b"]]}


def test_a_bare_name_finds_its_provider() -> None:
    assert _prepare(model="claude").model == "anthropic/claude"


def test_an_agent_gives_what_the_request_leaves_out() -> None:
    job = _prepare(SPEC, params={"temperature": 0.9})
    assert (job.agent, job.agent_version, job.model) == ("writer", 3, "openai/gpt")
    assert job.params == {"temperature": 0.9, "max_tokens": 100}
    assert job.fallbacks == ("anthropic/claude",)
    assert job.input["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_request_overrules_its_agent() -> None:
    job = _prepare(SPEC, params={"system": "Be long."}, fallbacks=["openai/unpriced"])
    assert job.input["messages"][0]["content"] == "Be long."
    assert job.fallbacks == ("openai/unpriced",)
    assert "system" not in job.params


def test_an_agent_with_parameters_that_no_worker_could_read_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'writer'") as caught:
        _prepare(replace(SPEC, params={"temperature": "hot"}))
    assert caught.value.param == "agent"


def test_a_parameter_of_a_newer_version_is_left_out_of_a_stored_agent() -> None:
    assert _prepare(replace(SPEC, params={"seed": 5, "mood": 1})).params == {"seed": 5}


def test_a_limit_is_kept_in_micro_dollars_rounded_up() -> None:
    assert _prepare(max_cost_usd="0.0000011").max_cost_micros == 2


def test_times_and_labels_go_along() -> None:
    when = datetime(2030, 1, 1, tzinfo=UTC)
    job = _prepare(run_at=when.isoformat(), deadline_s=60, metadata={"order": "7"})
    assert (job.run_at, job.deadline_s, job.metadata) == (when, 60, {"order": "7"})


def test_a_backslash_and_x00_is_a_text_like_any_other() -> None:
    told = r"A NUL is written \x00 in Python."
    assert _prepare(input=told).input["messages"][0]["content"] == told


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"model": "openai/nothing"}, "model"),
        ({"agent": "writer"}, "model"),
        ({"model": None}, "model"),
        ({"metadata": {"a": "\x00"}}, "metadata.a"),
        ({"metadata": {"\x00": "a"}}, "metadata"),
        ({"params": {"system": "a\x00b"}}, "params.system"),
        ({"params": {"json_schema": {"title": ["\x00"]}}}, "params.json_schema.title[0]"),
        ({"input": [{"role": "user", "content": "\x00"}]}, "input[0].content"),
        ({"webhook": {"url": "http://example.com/\x00"}}, "webhook.url"),
        ({"fallbacks": ["openai/nothing"]}, "fallbacks[0]"),
        ({"fallbacks": ["anthropic/claude", "openai/embed"]}, "fallbacks[1]"),
        ({"model": "openai/unpriced", "max_cost_usd": 1}, "max_cost_usd"),
        ({"params": {"json_schema": {"type": "nothing"}}}, "params.json_schema"),
        ({"webhook": {"url": "ftp://example.com/"}}, "webhook.url"),
        ({"webhook": {"url": "http://127.0.0.1/"}}, "webhook.url"),
    ],
)
def test_what_cannot_work_is_refused_by_its_field(request_: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        _prepare(**request_)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "field",
    [
        {"priority": "urgent"},
        {"max_attempts": 0},
        {"max_attempts": 51},
        {"deadline_s": 0},
        {"deadline_s": float("inf")},
        {"max_cost_usd": 0},
        {"run_at": "2030-01-01T00:00:00"},
        {"params": {"temperature": 3}},
        {"params": {"temprature": 1}},
        {"params": {"stop": ["a"] * 5}},
        {"fallbacks": ["openai/gpt"] * 6},
        {"metadata": {str(n): "x" for n in range(17)}},
        {"metadata": {"a": "x" * 501}},
        {"webhook": "http://example.com/"},
        {"colour": "red"},
    ],
)
def test_what_has_the_wrong_shape_is_no_request(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobRequest.model_validate({"model": "openai/gpt", "input": "Hi.", **field})
