"""CPU that one provider call costs the caller: request built, sent, answer parsed and priced.

The provider is the simulator in a process of its own, without latency; only this process's CPU time
is counted. Beside it: `litellm.acompletion`, and as a floor the same bytes sent by aiohttp alone.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from itertools import chain

from benchmarks.figures import Figure
from benchmarks.floor import PEER, Call, at_most_ms, bare_cpu_ms, cpu_ms
from benchmarks.stand import Scale, running_simulator
from factory.config import Settings
from factory.domain.message import Message, Params, Role
from factory.llm.call import CallTrace, ProviderClient
from factory.llm.catalog import load_catalog
from factory.llm.endpoint import find_endpoint
from factory.llm.provider import litellm

GOALS_MS = {  # of the machine that the goals were set on
    "gpt-4o-mini": 0.30,
    "claude-sonnet-4-5": 0.45,
    "gemini-2.5-flash": 0.45,
    "ollama/llama3.2": 0.30,
}
MESSAGES = (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "What is a queue?"))
PARAMS = Params(temperature=0.2, max_tokens=60)


def figures(scale: Scale) -> Iterator[Figure]:
    """Goal 2, a figure a provider."""
    # As workers do (workers/pool.py).
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with running_simulator() as url:
        yield from asyncio.run(_measured(url, 1000 if scale.quick else 5000))


async def _measured(url: str, calls: int) -> list[Figure]:
    theirs_ms = await cpu_ms(_litellm_call(url), calls // 5)
    ours = [one async for one in _ours(url, calls)]
    floor_ms = await bare_cpu_ms(url, calls)
    floor = Figure("call_floor", floor_ms, "ms", note="aiohttp and orjson alone")
    return [floor, *chain.from_iterable(_beside(*one, theirs_ms, floor_ms) for one in ours)]


def _beside(
    provider: str, ours_ms: float, goal_ms: float, theirs_ms: float, floor_ms: float
) -> Iterator[Figure]:
    name = f"call_{provider}"
    yield Figure(name, ours_ms, "ms", None, theirs_ms, "litellm.acompletion")
    yield Figure(f"{name}_vs_floor", ours_ms, "ms", at_most_ms(goal_ms), floor_ms, PEER)


async def _ours(url: str, calls: int) -> AsyncIterator[tuple[str, float, float]]:
    """Of each provider: its name, what a call takes, and the goal."""
    catalog, client = load_catalog(""), ProviderClient(_settings_below(url))
    trace = CallTrace("job", "step", 1)
    for name, goal_ms in GOALS_MS.items():
        model = catalog.find(name)

        endpoint = find_endpoint(_settings_below(url), model.provider)

        async def call(model: object = model, endpoint: object = endpoint) -> object:
            return await client.complete(model, MESSAGES, PARAMS, trace, endpoint)  # type: ignore[arg-type]

        yield model.provider, await cpu_ms(call, calls), goal_ms
    await client.close()


def _litellm_call(url: str) -> Call:
    async def call() -> object:
        return await litellm.acompletion(
            "openai/gpt-4o-mini",
            [message.as_dict() for message in MESSAGES],
            api_base=f"{url}/openai/v1",
            api_key="key",
            max_retries=0,
            num_retries=0,
        )

    return call


def _settings_below(url: str) -> Settings:
    return Settings(
        database_url="postgresql://nowhere",
        redis_url="redis://nowhere",
        secret_key="k" * 32,
        openai_api_key="key",
        anthropic_api_key="key",
        google_api_key="key",
        openai_base_url=f"{url}/openai/v1",
        anthropic_base_url=f"{url}/anthropic",
        gemini_base_url=f"{url}/gemini",
        ollama_base_url=f"{url}/ollama",
    )
