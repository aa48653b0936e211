"""Embeddings of the providers whose calls we carry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from factory.errors import ProviderCutOff, ProviderError, RateLimited
from factory.llm.call import CallTrace
from factory.llm.catalog import Catalog, load_catalog
from factory.llm.embedding import embedding_request, read_openai_embeddings
from factory.llm.endpoint import Endpoint
from factory.llm.provider import litellm
from factory.simulator.hosted import HostedSimulator
from tests.integration.llm.caller import Caller
from tests.integration.llm.conftest import count_received
from tests.integration.llm.recorder import Recorder

TRACE = CallTrace("job-1", "embed", 1)
MODELS = ("text-embedding-3-small", "gemini/gemini-embedding-001", "ollama/nomic-embed-text")
MakeClient = Callable[[str], Caller]


@pytest.mark.parametrize("model", MODELS)
def test_there_is_one_vector_a_text_in_order(
    runner: asyncio.Runner,
    simulator: HostedSimulator,
    make_client: MakeClient,
    catalog: Catalog,
    model: str,
) -> None:
    client, found = make_client(simulator.url), catalog.find(model)
    both = runner.run(client.embed(found, ["first text", "another one"], TRACE))
    alone = runner.run(client.embed(found, ["another one"], TRACE))
    assert len(both.vectors) == 2
    assert both.vectors[1] == pytest.approx(alone.vectors[0])
    assert both.usage.input_tokens > alone.usage.input_tokens > 0
    assert both.cost_micros is not None


@pytest.mark.parametrize("model", MODELS)
def test_embeddings_fail_as_completions_do(
    runner: asyncio.Runner,
    simulator: HostedSimulator,
    make_client: MakeClient,
    catalog: Catalog,
    model: str,
) -> None:
    script = "status=429 retry_after=3"
    simulator.replace_scripts({"openai": script, "gemini": script, "ollama": script})
    with pytest.raises(ProviderError) as caught:
        runner.run(make_client(simulator.url).embed(catalog.find(model), ["text"], TRACE))
    assert type(caught.value) is RateLimited
    assert caught.value.retry_after_s == 3.0
    assert count_received(simulator, "job-1") == 1


@pytest.mark.parametrize("answer", [b"{}", b"[]", b"no", b'{"embeddings": []}', b'{"data": []}'])
@pytest.mark.parametrize("model", MODELS)
def test_an_answer_without_the_vectors_is_cut_off(
    runner: asyncio.Runner,
    recorder: Recorder,
    make_client: MakeClient,
    catalog: Catalog,
    model: str,
    answer: bytes,
) -> None:
    recorder.answer = answer
    with pytest.raises(ProviderCutOff):
        runner.run(make_client(recorder.url).embed(catalog.find(model), ["text"], TRACE))


@pytest.mark.parametrize(
    ("model", "base", "answer"),
    [
        (
            "openai/text-embedding-3-small",
            "/openai/v1",
            {
                "object": "list",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
                "model": "text-embedding-3-small",
                "usage": {"prompt_tokens": 100, "total_tokens": 100},
            },
        ),
        (
            "ollama/nomic-embed-text",
            "/ollama",
            {
                "model": "nomic-embed-text",
                "embeddings": [[0.25, -0.5]],
                "prompt_eval_count": 100,
            },
        ),
        (
            "gemini/gemini-embedding-001",
            "/gemini/v1beta",
            {"embeddings": [{"values": [0.25, -0.5]}]},
        ),
    ],
)
def test_litellm_reads_the_same_vectors(
    runner: asyncio.Runner,
    recorder: Recorder,
    make_client: MakeClient,
    model: str,
    base: str,
    answer: Any,
) -> None:
    recorder.answer = answer
    ours = runner.run(
        make_client(recorder.url).embed(load_catalog("").find(model), ["a queue"], TRACE)
    )
    theirs = runner.run(
        litellm.aembedding(
            model=model,
            input=["a queue"],
            api_base=recorder.url + base,
            api_key="key",
            max_retries=0,
        )
    )
    ours_sent, theirs_sent = (s for s in recorder.sent if not s.path.endswith("/api/show"))
    assert ours_sent.path == theirs_sent.path
    assert [list(vector) for vector in ours.vectors] == [item["embedding"] for item in theirs.data]
    assert ours.usage.input_tokens == theirs.usage.prompt_tokens


@pytest.mark.parametrize(
    ("usage", "tokens", "cost_micros"),
    [
        ({"prompt_tokens": 1000, "total_tokens": 1000}, 1000, 20),
        ({"total_tokens": 1000}, 1000, 20),
        (None, 0, None),
        ({}, 0, None),
        ({"prompt_tokens": None}, 0, None),
        ({"prompt_tokens": -5}, 0, None),
        ({"prompt_tokens": 2**70}, 0, None),
        ({"prompt_tokens": "many"}, 0, None),
    ],
)
def test_an_answer_without_its_usage_is_kept_and_its_cost_unknown(
    runner: asyncio.Runner,
    recorder: Recorder,
    make_client: MakeClient,
    catalog: Catalog,
    usage: Any,
    tokens: int,
    cost_micros: int | None,
) -> None:
    data = [{"index": 0, "embedding": [0.25, -0.5]}]
    recorder.answer = json.dumps({"data": data, "usage": usage}).encode()
    model = catalog.find("text-embedding-3-small")
    found = runner.run(make_client(recorder.url).embed(model, ["text"], TRACE))
    assert [list(vector) for vector in found.vectors] == [[0.25, -0.5]]
    assert (found.usage.input_tokens, found.cost_micros) == (tokens, cost_micros)


@pytest.mark.parametrize(
    "answer", [{"embeddings": [[0.5]]}, {"embeddings": [[0.5]], "prompt_eval_count": None}]
)
def test_what_a_free_model_does_not_count_costs_nothing(
    runner: asyncio.Runner,
    recorder: Recorder,
    make_client: MakeClient,
    catalog: Catalog,
    answer: Any,
) -> None:
    recorder.answer = answer
    model = catalog.find("ollama/nomic-embed-text")
    found = runner.run(make_client(recorder.url).embed(model, ["text"], TRACE))
    assert found.cost_micros == 0


def test_nan_in_one_vector_loses_no_other(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    recorder.answer = b'{"embeddings": [[0.5, 0.25], [NaN, NaN], [0.25, 0.5]]}'
    model = catalog.find("ollama/nomic-embed-text")
    found = runner.run(make_client(recorder.url).embed(model, ["a", "b", "c"], TRACE))
    assert [vector is None for vector in found.vectors] == [False, True, False]


@pytest.mark.parametrize(
    "answer", [b"\xff\xfe", b"[" * 100_000, b'{"data": [1]}', b'{"data": {"0": 1}}', b"null", b'""']
)
def test_whatever_an_answer_holds_our_words_say_that_it_cannot_be_used(
    runner: asyncio.Runner,
    recorder: Recorder,
    make_client: MakeClient,
    catalog: Catalog,
    answer: bytes,
) -> None:
    recorder.answer = answer
    model = catalog.find("text-embedding-3-small")
    with pytest.raises(
        ProviderCutOff,
        match=r"^(the answer of openai cannot be used: |openai answered 200 without an answer)",
    ):
        runner.run(make_client(recorder.url).embed(model, ["text"], TRACE))


def test_another_provider_without_a_usage_is_read_as_well(catalog: Catalog) -> None:
    answer = litellm.EmbeddingResponse(
        model="m", data=[{"object": "embedding", "index": 0, "embedding": [0.25]}], usage=None
    )
    answer.usage = None
    found = read_openai_embeddings(
        catalog.find("cohere/embed-english-v3.0"), ["text"], answer.model_dump(), 5
    )
    assert [list(vector) for vector in found.vectors] == [[0.25]]
    assert found.cost_micros is None


def test_an_error_within_a_200_is_what_it_says(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    recorder.answer = {"data": None, "error": {"code": 429, "message": "too many requests"}}
    model = catalog.find("text-embedding-3-small")
    with pytest.raises(RateLimited, match="too many requests"):
        runner.run(make_client(recorder.url).embed(model, ["text"], TRACE))


def test_an_answer_that_cannot_be_used_says_what_it_cost(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient, catalog: Catalog
) -> None:
    usage = {"prompt_tokens": 1000}
    recorder.answer = {"data": [{"index": 0, "embedding": []}], "usage": usage}
    model = catalog.find("text-embedding-3-small")
    with pytest.raises(ProviderCutOff, match="no vector that could be used") as caught:
        runner.run(make_client(recorder.url).embed(model, ["text"], TRACE))
    assert caught.value.completion.cost_micros == 20


def test_another_model_of_this_machine_is_asked_of_its_server(
    runner: asyncio.Runner, recorder: Recorder, make_client: MakeClient
) -> None:
    recorder.answer = {"data": [{"index": 0, "embedding": [0.5]}]}
    model = load_catalog("local/bge-m3").find("local/bge-m3")
    found = runner.run(make_client(recorder.url).embed(model, ["text"], TRACE))
    assert [list(vector) for vector in found.vectors] == [[0.5]]
    assert recorder.sent[0].path == "/local/v1/embeddings"


@pytest.mark.parametrize(
    ("base_url", "encoding"),
    [("https://api.openai.com/v1", "base64"), ("https://openrouter.ai/api/v1", "float")],
)
def test_base64_is_asked_only_of_openai_itself(
    catalog: Catalog, base_url: str, encoding: str
) -> None:
    model = catalog.find("text-embedding-3-small")
    request = embedding_request(model, ["text"], Endpoint(base_url, "key"))
    assert json.loads(request.body)["encoding_format"] == encoding
