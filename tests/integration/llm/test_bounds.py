"""What a provider sends is bounded, and what is told of it holds no secret and no address."""

from __future__ import annotations

import asyncio
import gzip
import resource
import zlib
from collections.abc import Callable

import pytest

from factory.domain.message import Completion, Message, Params, Role
from factory.errors import (
    AnswerTooLarge,
    FactoryError,
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderUnavailable,
)
from factory.llm.call import CallTrace
from factory.llm.catalog import Catalog
from tests.integration.llm import samples
from tests.integration.llm.caller import Caller
from tests.integration.llm.conftest import settings_below
from tests.integration.llm.recorder import Recorder

TRACE = CallTrace("job-1", "answer", 1)
HELLO = (Message(Role.USER, "hello"),)
MODELS = ("gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash", "ollama/llama3.2")
MakeClient = Callable[[str], Caller]


async def ask(client: Caller, catalog: Catalog, model: str = MODELS[0]) -> Completion:
    return await client.complete(catalog.find(model), HELLO, Params(), TRACE)


def bomb(size: int, compress: Callable[[bytes], bytes]) -> bytes:
    """A body that unpacks to an answer of `size` bytes."""
    return compress(b'{"x": "' + b" " * size + b'"}')


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_body_that_unpacks_without_end_is_left(
    runner: asyncio.Runner,
    recorder: Recorder,
    make_client: MakeClient,
    catalog: Catalog,
    encoding: str,
    compress: Callable[[bytes], bytes],
) -> None:
    recorder.answer, recorder.headers = bomb(2**29, compress), {"Content-Encoding": encoding}
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AnswerTooLarge) as caught:
        runner.run(ask(make_client(recorder.url), catalog))
    assert caught.value.may_be_billed
    assert not caught.value.retryable
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 200 * 1024


@pytest.mark.parametrize("packed", [False, True])
def test_the_longest_answer_is_a_setting(
    runner: asyncio.Runner, recorder: Recorder, catalog: Catalog, packed: bool
) -> None:
    settings = settings_below(recorder.url)
    client = Caller(settings.model_copy(update={"completion_answer_max_bytes": 3000}))
    if packed:
        recorder.headers = {"Content-Encoding": "gzip"}

    def answer(text: str) -> None:
        whole = samples.openai(text)
        recorder.answer = gzip.compress(samples.as_bytes(whole)) if packed else whole

    answer("a" * 1000)
    assert runner.run(ask(client, catalog)).text == "a" * 1000
    answer("a" * 4000)
    with pytest.raises(AnswerTooLarge, match="3,000 bytes"):
        runner.run(ask(client, catalog))
    runner.run(client.close())


def test_an_error_of_any_length_is_still_classified(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    recorder.status, recorder.answer = 503, bomb(2**29, gzip.compress)
    recorder.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(FactoryError) as caught:
        runner.run(ask(make_client(recorder.url), catalog))
    assert caught.value.type == "provider_overloaded"


def test_a_long_header_does_not_spoil_an_answer(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    recorder.answer, recorder.headers = samples.openai(), {"x-policy": "p" * 20_000}
    assert runner.run(ask(make_client(recorder.url), catalog)).text == samples.TEXT


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_that_is_no_http_is_told_without_the_request(
    runner: asyncio.Runner,
    recorder: Recorder,
    make_client: MakeClient,
    catalog: Catalog,
    model: str,
) -> None:
    recorder.answer, recorder.headers = b"{}", {"x-policy": "p" * 100_000}
    with pytest.raises(ProviderCutOff) as caught:
        runner.run(ask(make_client(recorder.url), catalog, model))
    assert caught.value.message.endswith("the answer of the provider is not valid HTTP")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9", "connection to the provider was refused"),
        ("https://127.0.0.1:9", "connection to the provider was refused"),
        ("http://no-such-host.invalid", "the name of the provider's host was not found"),
    ],
)
def test_a_connection_that_never_came_is_told_in_our_words(
    runner: asyncio.Runner, make_client: MakeClient, catalog: Catalog, url: str, words: str
) -> None:
    with pytest.raises(ProviderUnavailable) as caught:
        runner.run(ask(make_client(url), catalog))
    assert caught.value.message == f"openai: {words}"
    assert not caught.value.may_be_billed


def test_a_url_that_is_none_is_told_in_our_words(
    runner: asyncio.Runner, recorder: Recorder, catalog: Catalog
) -> None:
    settings = settings_below(recorder.url).model_copy(update={"openai_base_url": "blank"})
    with pytest.raises(ProviderUnavailable, match="the URL of the provider is not one"):
        runner.run(ask(Caller(settings), catalog))


def test_a_server_without_tls_is_told_in_our_words(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    with pytest.raises(
        ProviderUnavailable, match="openai: connection to the provider failed: no TLS"
    ):
        runner.run(ask(make_client(recorder.url.replace("http:", "https:")), catalog))


@pytest.mark.parametrize("key", ["key-\n", "key-é", "key-\x00"])
def test_a_key_that_no_header_may_carry_is_named(
    runner: asyncio.Runner, recorder: Recorder, catalog: Catalog, key: str
) -> None:
    settings = settings_below(recorder.url).model_copy(update={"openai_api_key": key})
    with pytest.raises(ProviderAuthFailed, match="OPENAI_API_KEY"):
        runner.run(ask(Caller(settings), catalog))
    assert recorder.sent == []


def test_a_provider_that_repeats_our_key_is_not_quoted(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    recorder.status = 401
    recorder.answer = {"error": {"message": "Incorrect API key provided: key-openai."}}
    with pytest.raises(ProviderAuthFailed) as caught:
        runner.run(ask(make_client(recorder.url), catalog))
    assert "key-openai" not in caught.value.message
    assert "Incorrect API key" in caught.value.message
