"""Jobs for an OpenAI-compatible server of one's own: lanes of their own, an unknown cost, fallbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from factory.domain.state import State
from factory.errors import InvalidInput
from factory.store.archive import EVERY_JOB
from tests.integration.pipeline.bench import Bench
from tests.integration.store.samples import ask

MODEL = "openai-compatible/meta-llama/Llama-3-8B"


@pytest.fixture
def own(bench: Bench) -> Iterator[Bench]:
    """A bench that has such a server, without a key."""
    url = f"{bench.simulator.url}/openai-compatible/v1"
    settings = bench.services.settings.model_copy(update={"openai_compatible_base_url": url})
    with asyncio.Runner() as runner:
        own = Bench(
            replace(bench.services, settings=settings), bench.catalog, bench.simulator, runner
        )
        yield own
        own.close()


def test_a_job_has_lanes_of_its_own_and_an_unknown_cost(own: Bench) -> None:
    job_id = own.submit(model=MODEL)
    [row] = ask(
        own.services, f"SELECT lane, provider FROM {EVERY_JOB} j WHERE id = %(id)s", id=str(job_id)
    )
    assert (row.lane, row.provider) == ("openai-compatible.normal", "openai-compatible")
    own.execute(job_id)
    job = own.view(job_id)
    assert job.state == State.SUCCEEDED
    assert job.output["text"].startswith("[simulated")
    assert (job.cost_micros, job.unknown_calls) == (None, 1)
    assert own.calls(job_id) == 1


def test_a_limit_on_an_unknown_cost_is_refused(own: Bench) -> None:
    with pytest.raises(InvalidInput, match="the price of openai-compatible/"):
        own.submit(model=MODEL, max_cost_usd="1")


def test_another_model_stands_in_where_the_server_is_down(own: Bench) -> None:
    own.simulator.replace_scripts({"openai-compatible": "status=503"})
    job = own.finished(model=MODEL, fallbacks=["openai/gpt-4o-mini"])
    assert (job.state, job.output["provider"]) == (State.SUCCEEDED, "openai")
