"""One call at a time against the simulator, or a recorder where the wire matters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from factory.domain.message import Message, Params, Role
from factory.errors import (
    ContextTooLong,
    InvalidInput,
    InvalidOutput,
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderOverloaded,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
)
from factory.llm.call import CallTrace
from factory.llm.catalog import Catalog
from factory.simulator.hosted import HostedSimulator
from tests.integration.llm import samples
from tests.integration.llm.caller import Caller
from tests.integration.llm.conftest import count_received, settings_below
from tests.integration.llm.recorder import Recorder

MODELS = ("gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash", "ollama/llama3.2")
TRACE = CallTrace("job-1", "answer:0", 2, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
SCHEMA = {
    "type": "object",
    "properties": {"size": {"type": "integer"}},
    "required": ["size"],
    "additionalProperties": False,
}
MakeClient = Callable[[str], Caller]


def said(text: str) -> tuple[Message, ...]:
    return (Message(Role.USER, text),)


def fail(
    runner: asyncio.Runner,
    client: Caller,
    catalog: Catalog,
    model: str,
    text: str = "hello",
    params: Params | None = None,
) -> Any:
    """The error that the call ends with."""
    call = client.complete(catalog.find(model), said(text), params or Params(), TRACE)
    with pytest.raises((ProviderError, InvalidOutput)) as caught:
        runner.run(call)
    return caught.value


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("status=429 retry_after=7", RateLimited),
        ("status=400", ProviderRefused),
        ("status=401", ProviderAuthFailed),
        ("status=403", ProviderAuthFailed),
        ("status=404", ProviderRefused),
        ("status=500", ProviderUnavailable),
        ("status=502", ProviderUnavailable),
        ("status=503", ProviderOverloaded),
        ("status=529", ProviderOverloaded),
        ("cut", ProviderCutOff),
        ("garbage", ProviderCutOff),
    ],
)
def test_each_failure_is_told_apart_after_one_call(
    runner: asyncio.Runner,
    simulator: HostedSimulator,
    make_client: MakeClient,
    catalog: Catalog,
    model: str,
    script: str,
    kind: type[ProviderError],
) -> None:
    error = fail(
        runner, make_client(simulator.url), catalog, model, f"hello {{{{simulate {script}}}}}"
    )
    assert type(error) is kind
    assert error.provider == catalog.find(model).provider
    assert error.retry_after_s == (7.0 if kind is RateLimited else None)
    assert count_received(simulator, "job-1") == 1


@pytest.mark.parametrize("model", MODELS)
def test_a_provider_that_does_not_answer_in_time_is_left(
    runner: asyncio.Runner,
    simulator: HostedSimulator,
    make_client: MakeClient,
    catalog: Catalog,
    model: str,
) -> None:
    client = make_client(simulator.url)
    error = fail(runner, client, catalog, model, "hello {{simulate hang}}", Params(timeout_s=0.2))
    assert type(error) is ProviderTimeout


@pytest.mark.parametrize("model", MODELS[:3])
def test_an_input_beyond_the_window_is_told_from_other_refusals(
    runner: asyncio.Runner,
    simulator: HostedSimulator,
    make_client: MakeClient,
    catalog: Catalog,
    model: str,
) -> None:
    error = fail(runner, make_client(simulator.url), catalog, model, "word " * 120_000)
    assert type(error) is ContextTooLong


def test_a_spent_account_is_not_a_rate_limit(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    recorder.status = 429
    recorder.answer = {
        "error": {
            "message": "You exceeded your current quota, please check your plan.",
            "type": "insufficient_quota",
            "param": None,
            "code": "insufficient_quota",
        }
    }
    error = fail(runner, make_client(recorder.url), catalog, "gpt-4o-mini")
    assert type(error) is QuotaExhausted
    assert not error.retryable


def test_a_provider_that_is_not_there_is_unavailable(
    runner: asyncio.Runner, make_client: MakeClient, catalog: Catalog
) -> None:
    error = fail(runner, make_client("http://127.0.0.1:9"), catalog, "gpt-4o-mini")
    assert type(error) is ProviderUnavailable
    assert error.http_status is None


@pytest.mark.parametrize("answer", [b"[]", b"{}", b'"text"', b'{"choices": []}', b"", b"<html>"])
@pytest.mark.parametrize("model", MODELS)
def test_an_answer_of_another_shape_is_cut_off(
    runner: asyncio.Runner,
    recorder: Recorder,
    make_client: MakeClient,
    catalog: Catalog,
    model: str,
    answer: bytes,
) -> None:
    recorder.answer = answer
    assert type(fail(runner, make_client(recorder.url), catalog, model)) is ProviderCutOff


def test_a_redirect_is_refused_and_not_followed(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    recorder.status, recorder.headers = 307, {"Location": recorder.url}
    error = fail(runner, make_client(recorder.url), catalog, "gpt-4o-mini")
    assert type(error) is ProviderRefused
    assert len(recorder.sent) == 1


def test_a_missing_key_fails_before_any_call(runner: asyncio.Runner, catalog: Catalog) -> None:
    settings = settings_below("http://127.0.0.1:9").model_copy(update={"openai_api_key": None})
    error = fail(runner, Caller(settings), catalog, "gpt-4o-mini")
    assert type(error) is ProviderAuthFailed
    assert "OPENAI_API_KEY" in error.message


@pytest.mark.parametrize("model", [*MODELS, "local/gemma3-270m"])
def test_calls_say_whose_they_are(
    runner: asyncio.Runner,
    recorder: Recorder,
    make_client: MakeClient,
    catalog: Catalog,
    model: str,
) -> None:
    found = catalog.find(model)
    speaker = {"local": samples.openai}.get(found.provider) or getattr(samples, found.provider)
    recorder.answer = speaker()
    runner.run(make_client(recorder.url).complete(found, said("hello"), Params(), TRACE))
    headers = recorder.sent[0].headers
    assert headers["x-factory-job"] == "job-1"
    assert headers["x-factory-step"] == "answer:0"
    assert headers["x-factory-attempt"] == "2"
    assert headers["traceparent"] == TRACE.traceparent
    assert headers["content-type"] == "application/json"


def test_an_answer_that_does_not_fit_its_schema_is_still_paid_for(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    recorder.answer = samples.openai('{"size": "large"}')
    client = make_client(recorder.url)
    error = fail(runner, client, catalog, "gpt-4o-mini", params=Params(json_schema=SCHEMA))
    assert type(error) is InvalidOutput
    assert "$.size" in error.message
    assert error.completion.cost_micros > 0
    assert error.completion.usage.input_tokens == 2100


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("gpt-4o-mini", samples.openai),
        ("claude-haiku-4-5", samples.anthropic),
        ("gemini/gemini-2.5-flash", samples.gemini),
    ],
)
def test_a_schema_with_numbers_beyond_64_bits_is_asked_with(
    runner: asyncio.Runner,
    recorder: Recorder,
    make_client: MakeClient,
    catalog: Catalog,
    model: str,
    answer: Any,
) -> None:
    size = {"type": "integer", "maximum": 10**20}
    schema = {"type": "object", "properties": {"size": size}, "required": ["size"]}
    recorder.answer = answer('{"size": 3}')
    call = make_client(recorder.url).complete(
        catalog.find(model), said("hello"), Params(json_schema=schema), TRACE
    )
    runner.run(call)
    assert len(recorder.sent) == 1


def test_a_schema_that_cannot_be_applied_is_refused_before_it_costs(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    params = Params(json_schema={"patternProperties": {"(a|a)*$": {}}})
    client = make_client(recorder.url)
    call = client.complete(catalog.find("gpt-4o-mini"), said("hello"), params, TRACE)
    with pytest.raises(InvalidInput):
        runner.run(call)
    assert recorder.sent == []


@pytest.mark.parametrize("model", MODELS)
def test_the_simulator_fits_a_schema(
    runner: asyncio.Runner,
    simulator: HostedSimulator,
    make_client: MakeClient,
    catalog: Catalog,
    model: str,
) -> None:
    client = make_client(simulator.url)
    call = client.complete(
        catalog.find(model), said("how large?"), Params(json_schema=SCHEMA), TRACE
    )
    assert isinstance(runner.run(call).parsed["size"], int)


def test_a_model_without_a_price_has_no_cost(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient
) -> None:
    from factory.llm.catalog import load_catalog

    model = load_catalog("openai/gpt-of-tomorrow").find("openai/gpt-of-tomorrow")
    recorder.answer = samples.openai()
    call = make_client(recorder.url).complete(model, said("hello"), Params(), TRACE)
    assert runner.run(call).cost_micros is None
