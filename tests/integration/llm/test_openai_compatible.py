"""A server of one's own that speaks as OpenAI does, with the manners of those that people have."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from factory.domain.message import Message, Params, Role
from factory.errors import (
    ContentFiltered,
    ContextTooLong,
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderOverloaded,
    ProviderRefused,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
)
from factory.llm.call import CallTrace
from factory.llm.catalog import Catalog
from factory.simulator.hosted import HostedSimulator
from tests.integration.llm import samples
from tests.integration.llm.caller import Caller
from tests.integration.llm.conftest import settings_below
from tests.integration.llm.recorder import Recorder

MakeClient = Callable[[str], Caller]
NAME = "openai-compatible/meta-llama/Llama-3-8B"
TRACE = CallTrace("job-1", "answer", 1)
LONG = "word " * 110_000
SCHEMA = {
    "type": "object",
    "properties": {"size": {"type": "integer"}},
    "required": ["size"],
    "additionalProperties": False,
}


def said(text: str) -> tuple[Message, ...]:
    return (Message(Role.USER, text),)


def client_of(url: str, key: str | None = "key-own") -> Caller:
    changed = {"openai_compatible_base_url": url, "openai_compatible_api_key": key}
    return Caller(settings_below(url).model_copy(update=changed))


def fail(runner: asyncio.Runner, catalog: Catalog, url: str, text: str) -> ProviderError:
    client = client_of(url)
    try:
        with pytest.raises(ProviderError) as caught:
            runner.run(client.complete(catalog.find(NAME), said(text), Params(), TRACE))
    finally:
        runner.run(client.close())
    return caught.value


def test_any_model_is_taken_and_none_has_a_price(catalog: Catalog) -> None:
    model = catalog.find(NAME)
    assert (model.provider, model.name) == ("openai-compatible", "meta-llama/Llama-3-8B")
    assert (model.mode, model.price) == ("chat", None)
    embedding = catalog.find("openai-compatible/Qwen/Qwen3-Embedding-8B")
    assert embedding.mode == "embedding"


def test_a_call_without_a_key_carries_none_and_has_an_unknown_cost(
    runner: asyncio.Runner, recorder: Recorder, catalog: Catalog
) -> None:
    recorder.answer = samples.openai()
    client = client_of(f"{recorder.url}/v1", key=None)
    found = runner.run(client.complete(catalog.find(NAME), said("hello"), Params(), TRACE))
    runner.run(client.close())
    [sent] = recorder.sent
    assert (sent.path, sent.body["model"]) == ("/v1/chat/completions", "meta-llama/Llama-3-8B")
    assert "authorization" not in sent.headers
    assert found.cost_micros is None
    assert found.usage.output_tokens == 345


def test_two_credentials_of_one_model_are_not_mixed_up(
    runner: asyncio.Runner, recorder: Recorder, catalog: Catalog
) -> None:
    recorder.answer = samples.openai()
    for key in ("key-one", "key-two", None):
        client = client_of(f"{recorder.url}/v1", key)
        runner.run(client.complete(catalog.find(NAME), said("hello"), Params(), TRACE))
        runner.run(client.close())
    sent = [one.headers.get("authorization") for one in recorder.sent]
    assert sent == ["Bearer key-one", "Bearer key-two", None]


def test_parameters_are_sent_by_the_names_that_all_know(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    recorder.answer = samples.openai('{"size": 3}')
    params = Params(temperature=0.5, max_tokens=9, seed=7, stop=("END",), json_schema=SCHEMA)
    # Whatever the model is called: nothing is guessed of it.
    model = catalog.find("openai-compatible/openai/gpt-5")
    runner.run(make_client(recorder.url).complete(model, said("hello"), params, TRACE))
    body = recorder.sent[0].body
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (9, 0.5, 7)
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert body["stop"] == ["END"]
    assert body.keys() <= {
        *("model", "messages", "temperature", "max_tokens", "seed", "stop", "response_format"),
        "stream",
    }


def test_texts_are_embedded(
    runner: asyncio.Runner, simulator: HostedSimulator, make_client: MakeClient, catalog: Catalog
) -> None:
    model = catalog.find("openai-compatible/BAAI/bge-m3")
    found = runner.run(make_client(simulator.url).embed(model, ["one", "two"], TRACE))
    assert len(found.vectors) == 2
    assert found.cost_micros is None
    assert found.usage.input_tokens > 0


def test_a_base_url_that_is_not_set_is_named(runner: asyncio.Runner, catalog: Catalog) -> None:
    changed = {"openai_compatible_base_url": None}
    client = Caller(settings_below("http://127.0.0.1:9").model_copy(update=changed))
    call = client.complete(catalog.find(NAME), said("hello"), Params(), TRACE)
    with pytest.raises(ProviderAuthFailed, match="OPENAI_COMPATIBLE_BASE_URL is not set"):
        runner.run(call)


MANNERS: list[tuple[str, str, type[ProviderError]]] = [
    ("openai-compatible/v1", LONG, ContextTooLong),
    ("openai-compatible/v1", "{{simulate status=400}}", ProviderRefused),
    ("openai-compatible/v1", "{{simulate status=500}}", ProviderUnavailable),
    ("lm-studio/v1", LONG, ContextTooLong),
    ("lm-studio", "hello", ProviderRefused),
    ("lm-studio/v1", "{{simulate status=404}}", ProviderRefused),
    ("lm-studio/v1", "{{simulate status=500}}", ProviderUnavailable),
    ("openrouter/v1", "{{simulate status=400}}", ContextTooLong),
    ("openrouter/v1", "{{simulate status=402}}", QuotaExhausted),
    ("openrouter/v1", "{{simulate status=403}}", ContentFiltered),
    ("openrouter/v1", "{{simulate status=404}}", ProviderRefused),
    ("openrouter/v1", "{{simulate status=429}}", RateLimited),
    ("openrouter/v1", "{{simulate status=502}}", ProviderUnavailable),
    ("openrouter/v1", "{{simulate status=503}}", ProviderOverloaded),
    ("openrouter/v1", "{{simulate odd=error-429}}", RateLimited),
    ("openrouter/v1", "{{simulate odd=error-502}}", ProviderUnavailable),
    ("groq/v1", LONG, ContextTooLong),
    ("groq/v1", "{{simulate status=400}}", ProviderCutOff),
    ("groq/v1", "{{simulate status=413}}", ContextTooLong),
    ("groq/v1", "{{simulate status=429}}", RateLimited),
    ("groq/v1", "{{simulate status=498}}", ProviderOverloaded),
]


@pytest.mark.parametrize(
    ("server", "text", "kind"), MANNERS, ids=[f"{one[0]} {one[1][:30]}" for one in MANNERS]
)
def test_what_servers_say_in_their_own_ways_is_understood(
    runner: asyncio.Runner,
    simulator: HostedSimulator,
    catalog: Catalog,
    server: str,
    text: str,
    kind: type[ProviderError],
) -> None:
    error = fail(runner, catalog, f"{simulator.url}/{server}", text)
    assert type(error) is kind, error.message
    assert error.message.startswith("openai-compatible answered")


@pytest.mark.parametrize("server", ["openrouter/v1", "groq/v1"])
def test_the_wait_that_a_router_names_is_kept(
    runner: asyncio.Runner, simulator: HostedSimulator, catalog: Catalog, server: str
) -> None:
    began = time.monotonic()
    error = fail(
        runner, catalog, f"{simulator.url}/{server}", "{{simulate status=429 retry_after=30}}"
    )
    assert error.retry_after_s is not None
    assert 30 - (time.monotonic() - began) - 1 <= error.retry_after_s <= 30.01


OLD_VLLM: Any = {
    "object": "error",
    "message": "This model's maximum context length is 32768 tokens. However, you requested 41648.",
    "type": "BadRequestError",
    "param": None,
    "code": 400,
}


def test_an_older_vllm_has_no_error_around_its_error(
    runner: asyncio.Runner, recorder: Recorder, catalog: Catalog
) -> None:
    recorder.status, recorder.answer = 400, OLD_VLLM
    assert type(fail(runner, catalog, f"{recorder.url}/v1", "hello")) is ContextTooLong


def test_blanks_before_an_answer_keep_the_connection_and_nothing_else(
    runner: asyncio.Runner, recorder: Recorder, catalog: Catalog
) -> None:
    recorder.answer = b"\n\n         \n" + samples.as_bytes(samples.openai())
    client = client_of(f"{recorder.url}/v1")
    found = runner.run(client.complete(catalog.find(NAME), said("hello"), Params(), TRACE))
    runner.run(client.close())
    assert found.text == samples.TEXT


def test_what_the_asked_provider_said_is_shown(
    runner: asyncio.Runner, simulator: HostedSimulator, catalog: Catalog
) -> None:
    url = f"{simulator.url}/openrouter/v1"
    error = fail(runner, catalog, url, "{{simulate status=502}}")
    assert "Provider returned error: " in error.message
    assert "upstream error" in error.message


def test_a_wrong_key_is_told(
    runner: asyncio.Runner, simulator: HostedSimulator, catalog: Catalog
) -> None:
    client = client_of(f"{simulator.url}/openai-compatible/v1", key="invalid-1")
    with pytest.raises(ProviderAuthFailed):
        runner.run(client.complete(catalog.find(NAME), said("hello"), Params(), TRACE))
    runner.run(client.close())
