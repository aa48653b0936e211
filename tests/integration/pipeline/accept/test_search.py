"""Searches: asked by the gateway, answered by a worker, or refused with the reason."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from factory.errors import Unavailable
from factory.kinds.search.show import SearchFailed
from factory.pipeline.accept import search as search_module
from factory.pipeline.accept.search import search
from factory.pipeline.accept.wait import Waiter
from factory.pipeline.run.execute import execute
from tests.integration.kinds.test_embedding import LOCAL, SMALL, TEXTS
from tests.integration.pipeline.bench import Bench, until
from tests.integration.store.samples import OWNER, ask


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search is given up after 20 s, in which a busy machine may not have started the local model."""
    monkeypatch.setattr(search_module, "PATIENCE_S", 100.0)


def test_a_search_waits_for_its_worker(bench: Bench) -> None:
    bench.finished(model=LOCAL, input=TEXTS)
    worker = bench.worker()

    async def work() -> list[dict[str, object]]:
        asking = asyncio.ensure_future(asyncio.to_thread(_search, bench, LOCAL))
        queued = "SELECT id FROM jobs WHERE state = 'queued'"
        await until(lambda: ask(bench.services, queued))
        await execute(worker, [row.id for row in ask(bench.services, queued)])
        return await asking

    [hit] = bench.run(work())
    assert hit["source"] == "cats"


def _search(bench: Bench, model: str) -> list[dict[str, object]]:
    waiter = Waiter(bench.services)
    return search(bench.intake, waiter, OWNER, query="a sleeping cat", model=model, limit=1)


def test_a_search_that_fails_says_why(bench: Bench) -> None:
    bench.finished(model=SMALL, input=TEXTS)
    bench.simulator.replace_scripts({"openai": "status=400"})
    assert _failure_of_search(bench, SMALL).code == "provider_refused"


def test_a_search_whose_provider_has_no_key_fails_at_once_and_names_the_variable(
    bench: Bench,
) -> None:
    bench.finished(model=SMALL, input=TEXTS)
    settings = bench.services.settings.model_copy(update={"openai_api_key": None})
    bench.services = replace(bench.services, settings=settings)
    failure = _failure_of_search(bench, SMALL)
    assert (failure.code, failure.message) == (
        "provider_auth_failed",
        "OPENAI_API_KEY is not set",
    )


def _failure_of_search(bench: Bench, model: str) -> SearchFailed:
    """Of the first attempt: nobody else runs the job."""
    worker = bench.worker()

    async def work() -> SearchFailed:
        asking = asyncio.ensure_future(asyncio.to_thread(_search, bench, model))
        queued = "SELECT id FROM jobs WHERE state = 'queued'"
        await until(lambda: ask(bench.services, queued))
        await execute(worker, [row.id for row in ask(bench.services, queued)])
        with pytest.raises(SearchFailed) as caught:
            await asking
        return caught.value

    return bench.run(work())


def test_a_search_without_a_worker_is_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.finished(model=LOCAL, input=TEXTS)
    monkeypatch.setattr(search_module, "PATIENCE_S", 0.1)
    with pytest.raises(Unavailable):
        _search(bench, LOCAL)
