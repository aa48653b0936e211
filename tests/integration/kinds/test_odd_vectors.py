"""Vectors that are missing, of another length or no numbers: what was paid for is kept, and searches go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from factory.domain.state import State
from factory.store import chunks
from factory.store.chunks import Hit
from tests.integration.llm.recorder import Recorder, Sent, running_recorder
from tests.integration.pipeline.bench import Bench
from tests.integration.store.samples import PROJECT, ask

SMALL = "openai/text-embedding-3-small"
OLLAMA = "ollama/nomic-embed-text"
USAGE = {"prompt_tokens": 1000, "total_tokens": 1000}


@pytest.fixture
def provider() -> Iterator[Recorder]:
    with running_recorder() as provider:
        yield provider


@pytest.fixture
def odd(bench: Bench, provider: Recorder) -> Iterator[Bench]:
    """A bench whose providers answer what a test wants."""
    urls = {"openai_base_url": provider.url, "ollama_base_url": provider.url}
    settings = bench.services.settings.model_copy(update=urls)
    with asyncio.Runner() as runner:
        odd = Bench(
            replace(bench.services, settings=settings), bench.catalog, bench.simulator, runner
        )
        yield odd
        odd.close()


def nearest(bench: Bench, model: str, query: list[float]) -> list[Hit]:
    with bench.services.database.transaction() as tx:
        return chunks.nearest(tx, PROJECT, model, query, 10)


def test_a_vector_that_is_missing_is_asked_for_again_and_no_other(
    odd: Bench, provider: Recorder
) -> None:
    """Some servers drop a text of a batch now and then."""

    def all_but_the_second(sent: Sent) -> Any:
        data = [{"index": n, "embedding": [1.0, n]} for n, _ in enumerate(sent.body["input"])]
        return {"data": [one for one in data if one["index"] != 1], "usage": USAGE}

    provider.answer = all_but_the_second
    job_id = odd.submit(model=SMALL, input=["first", "second", "third"])
    odd.execute(job_id)
    assert odd.view(job_id).state is State.QUEUED
    odd.make_due(job_id)
    odd.execute(job_id)
    job = odd.view(job_id)
    assert (job.state, job.output["chunks"]) == (State.SUCCEEDED, 3)
    assert [sent.body["input"] for sent in provider.sent] == [
        ["first", "second", "third"],
        ["second"],
    ]
    assert (job.cost_micros, job.unknown_calls) == (40, 0)


def test_a_text_that_never_gets_a_vector_is_named(odd: Bench, provider: Recorder) -> None:
    provider.answer = {"embeddings": [[1.0], [None]]}
    texts = [{"source": "good", "text": "a text"}, {"source": "bad", "text": "..."}]
    job = odd.finished(model=OLLAMA, input=texts, max_attempts=1)
    assert job.state is State.FAILED
    assert job.error is not None
    assert (
        "no vector that can be used for 1 of 2 texts; the first is 'bad' from 0 to 3"
        in (job.error["message"])
    )
    assert len(ask(odd.services, "SELECT FROM chunks")) == 1


def test_vectors_of_another_length_than_the_first_calls_are_not_stored(
    odd: Bench, provider: Recorder
) -> None:
    def longer_each_time(sent: Sent) -> Any:
        return {"embeddings": [[0.5] * len(provider.sent) for _ in sent.body["input"]]}

    provider.answer = longer_each_time
    job = odd.finished(model=OLLAMA, input=[f"text {n}" for n in range(65)], max_attempts=1)
    assert job.state is State.FAILED
    assert job.error is not None
    assert (
        "gave vectors of 2 numbers; those that the job has stored are of 1" in job.error["message"]
    )
    assert len(ask(odd.services, "SELECT FROM chunks")) == 64


def test_vectors_of_another_length_than_the_query_break_no_search(
    odd: Bench, provider: Recorder
) -> None:
    """With Ollama a name may stand for another model tomorrow."""
    provider.answer = {"embeddings": [[0.5, 0.5]]}
    odd.finished(model=OLLAMA, input="of two numbers")
    provider.answer = {"embeddings": [[0.5, 0.5, 0.5]]}
    odd.finished(model=OLLAMA, input="of three numbers")
    assert [hit.content for hit in nearest(odd, OLLAMA, [0.5, 0.5])] == ["of two numbers"]


def test_a_vector_of_zeros_is_near_to_nothing(odd: Bench, provider: Recorder) -> None:
    provider.answer = {"embeddings": [[0.0, 0.0], [0.5, 0.5]]}
    job = odd.finished(model=OLLAMA, input=["zeros", "text"])
    assert job.state is State.SUCCEEDED
    assert [hit.content for hit in nearest(odd, OLLAMA, [0.5, 0.5])] == ["text"]
    assert nearest(odd, OLLAMA, [0.0, 0.0]) == []


@pytest.mark.parametrize("dimensions", [1, 2001, 4001, 16_000])
def test_vectors_of_every_length_that_postgres_takes_are_stored_and_found(
    odd: Bench, provider: Recorder, dimensions: int
) -> None:
    provider.answer = {"embeddings": [[0.5] * dimensions]}
    job = odd.finished(model=OLLAMA, input="a text")
    assert (job.state, job.output["dimensions"]) == (State.SUCCEEDED, dimensions)
    assert len(nearest(odd, OLLAMA, [0.5] * dimensions)) == 1


def test_longer_vectors_are_refused_in_our_words(odd: Bench, provider: Recorder) -> None:
    provider.answer = {"embeddings": [[0.5] * 16_001]}
    job = odd.finished(model=OLLAMA, input="a text", max_attempts=1)
    assert job.state is State.FAILED
    assert job.error is not None
    assert "vectors of 16001 numbers; 16000 can be stored" in job.error["message"]


def test_an_answer_without_its_usage_is_kept_and_its_cost_unknown(
    odd: Bench, provider: Recorder
) -> None:
    provider.answer = {"data": [{"index": 0, "embedding": [0.5]}], "usage": None}
    job = odd.finished(model=SMALL, input="a text")
    assert (job.state, job.cost_micros, job.unknown_calls) == (State.SUCCEEDED, None, 1)
