"""Mistral, whose wire is OpenAI's but for its errors and its dislike of fields that it does not have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from factory.domain.message import Message, Params, Role
from factory.errors import (
    ContextTooLong,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderRefused,
    RateLimited,
)
from factory.llm.call import CallTrace
from factory.llm.catalog import Catalog
from factory.simulator.hosted import HostedSimulator
from tests.integration.llm.caller import Caller
from tests.integration.llm.conftest import settings_below
from tests.integration.llm.recorder import Recorder

MakeClient = Callable[[str], Caller]
CHAT, EMBED = "mistral/mistral-small-latest", "mistral/mistral-embed"
TRACE = CallTrace("job-1", "answer", 1)
EVERY_PARAM = Params(temperature=0.25, top_p=0.9, max_tokens=77, seed=7, stop=("END",))
SCHEMA = {
    "type": "object",
    "properties": {"size": {"type": "integer"}},
    "required": ["size"],
    "additionalProperties": False,
}


def said(text: str) -> tuple[Message, ...]:
    return (Message(Role.USER, text),)


def test_every_parameter_is_one_that_it_takes(
    runner: asyncio.Runner, simulator: HostedSimulator, make_client: MakeClient, catalog: Catalog
) -> None:
    client = make_client(simulator.url)
    found = runner.run(client.complete(catalog.find(CHAT), said("hello"), EVERY_PARAM, TRACE))
    assert found.text.startswith("[simulated")
    assert found.cost_micros is not None
    params = Params(json_schema=SCHEMA)
    found = runner.run(client.complete(catalog.find(CHAT), said("hello"), params, TRACE))
    assert isinstance(found.parsed["size"], int)


def test_texts_are_embedded(
    runner: asyncio.Runner, simulator: HostedSimulator, make_client: MakeClient, catalog: Catalog
) -> None:
    client = make_client(simulator.url)
    found = runner.run(client.embed(catalog.find(EMBED), ["one", "two"], TRACE))
    assert [len(vector or ()) for vector in found.vectors] == [1024, 1024]
    assert found.cost_micros is not None


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("status=429 retry_after=3", RateLimited),
        ("status=503", ProviderOverloaded),
        ("status=401", ProviderAuthFailed),
        ("status=400", ProviderRefused),
    ],
)
def test_its_errors_are_told_apart(
    runner: asyncio.Runner,
    simulator: HostedSimulator,
    make_client: MakeClient,
    catalog: Catalog,
    script: str,
    kind: type[ProviderError],
) -> None:
    call = make_client(simulator.url).complete(
        catalog.find(CHAT), said(f"{{{{simulate {script}}}}}"), Params(), TRACE
    )
    with pytest.raises(ProviderError) as caught:
        runner.run(call)
    assert type(caught.value) is kind
    assert caught.value.retry_after_s == (3 if kind is RateLimited else None)


def test_an_input_beyond_its_window_may_fit_another_model(
    runner: asyncio.Runner, simulator: HostedSimulator, make_client: MakeClient, catalog: Catalog
) -> None:
    call = make_client(simulator.url).complete(
        catalog.find(CHAT), said("word " * 110_000), Params(), TRACE
    )
    with pytest.raises(ContextTooLong, match="maximum context length"):
        runner.run(call)


def test_findings_of_a_validation_are_shown_as_words(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    finding = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "not permitted"}
    recorder.status = 422
    recorder.answer = {"object": "error", "message": {"detail": [finding]}, "type": "invalid"}
    call = make_client(recorder.url).complete(catalog.find(CHAT), said("hello"), Params(), TRACE)
    with pytest.raises(ProviderRefused, match=r"answered 422: body\.seed: not permitted"):
        runner.run(call)


def test_an_answer_that_fills_the_window_is_cut(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    message = {"role": "assistant", "content": [{"type": "text", "text": "half"}]}
    recorder.answer = {"choices": [{"message": message, "finish_reason": "model_length"}]}
    call = make_client(recorder.url).complete(catalog.find(CHAT), said("hello"), Params(), TRACE)
    found = runner.run(call)
    assert (found.text, found.finish_reason) == ("half", "length")


def test_without_a_key_no_call_is_made(runner: asyncio.Runner, catalog: Catalog) -> None:
    settings = settings_below("http://127.0.0.1:9").model_copy(update={"mistral_api_key": None})
    call = Caller(settings).complete(catalog.find(CHAT), said("hello"), Params(), TRACE)
    with pytest.raises(ProviderAuthFailed, match="MISTRAL_API_KEY is not set"):
        runner.run(call)
