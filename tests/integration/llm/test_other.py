"""Providers without a dialect of ours: LiteLLM carries their calls too."""

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
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    Untranslatable,
)
from factory.llm.call import CallTrace
from factory.llm.catalog import Catalog
from factory.llm.provider import demand_bound
from tests.integration.llm import samples
from tests.integration.llm.caller import Caller
from tests.integration.llm.recorder import Recorder

MODEL = "deepseek/deepseek-chat"
TRACE = CallTrace("job-1", "answer", 1)
HELLO = (Message(Role.USER, "hello"),)


@pytest.fixture
def client(
    recorder: Recorder,
    make_client: Callable[[str], Caller],
    monkeypatch: pytest.MonkeyPatch,
) -> Caller:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "key-deepseek")
    monkeypatch.setenv("DEEPSEEK_API_BASE", recorder.url)
    return make_client(recorder.url)


def test_another_provider_answers_with_its_price(
    runner: asyncio.Runner, client: Caller, recorder: Recorder, catalog: Catalog
) -> None:
    recorder.answer = samples.openai()
    completion = runner.run(client.complete(catalog.find(MODEL), HELLO, Params(seed=1), TRACE))
    assert completion.text == samples.TEXT
    assert completion.provider == "deepseek"
    assert completion.usage.output_tokens == 345
    assert completion.cost_micros is not None
    assert completion.cost_micros > 0
    assert recorder.sent[0].headers["x-factory-job"] == "job-1"


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (429, "slow down", RateLimited),
        (401, "no", ProviderAuthFailed),
        (400, "bad", ProviderRefused),
        (400, "This model's maximum context length is 10 tokens", ContextTooLong),
        (404, "no such model", ProviderRefused),
        (500, "broken", ProviderUnavailable),
        (503, "busy", ProviderOverloaded),
    ],
)
def test_its_failures_are_ours_after_one_call(
    runner: asyncio.Runner,
    client: Caller,
    recorder: Recorder,
    catalog: Catalog,
    status: int,
    message: str,
    kind: type[ProviderError],
) -> None:
    recorder.status = status
    recorder.headers = {"Retry-After": "7"}
    recorder.answer = {"error": {"message": message, "type": "error", "code": None}}
    with pytest.raises(ProviderError) as caught:
        runner.run(client.complete(catalog.find(MODEL), HELLO, Params(), TRACE))
    assert type(caught.value) is kind
    assert len(recorder.sent) == 1
    if kind is RateLimited:
        assert caught.value.retry_after_s == 7.0


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 7}, {"prompt_tokens": -7}])
def test_its_answer_is_kept_without_its_usage(
    runner: asyncio.Runner,
    client: Caller,
    recorder: Recorder,
    catalog: Catalog,
    usage: object,
) -> None:
    recorder.answer = samples.openai() | {"usage": usage}
    completion = runner.run(client.complete(catalog.find(MODEL), HELLO, Params(), TRACE))
    assert completion.text == samples.TEXT
    assert completion.cost_micros is None or usage == {"prompt_tokens": 7}


@pytest.mark.parametrize("answer", [b"<html>", {"error": {"code": 429}}, {"choices": []}, b""])
def test_its_odd_answers_are_failures_of_ours(
    runner: asyncio.Runner,
    client: Caller,
    recorder: Recorder,
    catalog: Catalog,
    answer: object,
) -> None:
    recorder.answer = answer
    with pytest.raises(ProviderError) as caught:
        runner.run(client.complete(catalog.find(MODEL), HELLO, Params(), TRACE))
    for word in ("Traceback", "127.0.0.1", "litellm", "key-deepseek", "site-packages"):
        assert word not in caught.value.message


def test_a_connection_that_it_refuses_is_told_in_our_words(
    runner: asyncio.Runner,
    client: Caller,
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_BASE", "http://127.0.0.1:9")
    with pytest.raises(ProviderUnavailable) as caught:
        runner.run(client.complete(catalog.find(MODEL), HELLO, Params(), TRACE))
    assert caught.value.message == "deepseek: connection to the provider failed"
    assert not caught.value.may_be_billed


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("azure/gpt-4o", "AZURE_API_KEY"),
        ("cerebras/gpt-oss-120b", "CEREBRAS_API_KEY"),
        ("deepseek/deepseek-chat", "DEEPSEEK_API_KEY"),
    ],
)
def test_a_provider_without_credentials_fails_at_once_and_names_the_variable(
    runner: asyncio.Runner,
    make_client: Callable[[str], Caller],
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    variable: str,
) -> None:
    monkeypatch.delenv(variable, raising=False)
    client = make_client("http://127.0.0.1:9")
    with pytest.raises(ProviderAuthFailed) as caught:
        runner.run(client.complete(catalog.find(model), HELLO, Params(), TRACE))
    assert caught.value.message == f"{variable} is not set"
    assert not caught.value.retryable


@pytest.mark.parametrize("name", [MODEL, "crusoe/google/gemma-3-12b-it"])
def test_most_models_take_a_bound(catalog: Catalog, name: str) -> None:
    demand_bound(catalog.find(name))


@pytest.mark.parametrize("name", ["v0/v0-1.5-md", "morph/morph-v3-fast"])
def test_a_model_of_which_litellm_drops_the_bound_is_refused(catalog: Catalog, name: str) -> None:
    with pytest.raises(Untranslatable, match="takes no max_tokens, so max_cost_usd cannot be kept"):
        demand_bound(catalog.find(name))


def test_a_silent_provider_times_out(
    runner: asyncio.Runner,
    client: Caller,
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def call_silence() -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        monkeypatch.setenv("DEEPSEEK_API_BASE", f"http://{host}:{port}")
        try:
            await client.complete(catalog.find(MODEL), HELLO, Params(timeout_s=0.3), TRACE)
        finally:
            server.close()

    with pytest.raises(ProviderTimeout):
        runner.run(call_silence())
