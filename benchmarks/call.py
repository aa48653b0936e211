"""CPU that one provider call costs the caller: request built, sent, answer parsed and priced.

The provider is the simulator in a process of its own, without latency; only this process's CPU time
is counted. Beside it: `litellm.acompletion`, and as a floor the same bytes sent by aiohttp alone.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from statistics import median

import orjson
from aiohttp import ClientSession

from benchmarks.figures import Figure, at_most, at_most_times
from benchmarks.stand import Scale, running_simulator
from factory.config import Settings
from factory.domain.message import Message, Params, Role
from factory.llm.call import CallTrace, ProviderClient
from factory.llm.catalog import load_catalog
from factory.llm.provider import litellm

GOALS_MS = {
    "gpt-4o-mini": 0.30,
    "claude-sonnet-4-5": 0.45,
    "gemini-2.5-flash": 0.45,
    "ollama/llama3.2": 0.30,
}
FLOOR_MS = 0.07
"""Of the machine that the goals were set on. Another is to be judged by as many times its own floor."""
IN_FLIGHT = 50
MESSAGES = (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "What is a queue?"))
PARAMS = Params(temperature=0.2, max_tokens=60)
Call = Callable[[], Awaitable[object]]


def figures(scale: Scale) -> Iterator[Figure]:
    """Goal 2, a figure a provider."""
    # As workers do (workers/pool.py).
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with running_simulator() as url:
        yield from asyncio.run(_measured(url, 1000 if scale.quick else 5000))


async def _measured(url: str, calls: int) -> list[Figure]:
    theirs_ms = await _cpu_ms(_litellm_call(url), calls // 5)
    found = [figure async for figure in _ours(url, calls, theirs_ms)]
    messages = [message.as_dict() for message in MESSAGES]
    body = orjson.dumps({"model": "gpt-4o-mini", "messages": messages, "max_tokens": 60})
    async with ClientSession(headers={"Authorization": "Bearer key"}) as session:

        async def bare() -> object:
            async with session.post(f"{url}/openai/v1/chat/completions", data=body) as answer:
                return orjson.loads(await answer.read())

        floor_ms = await _cpu_ms(bare, calls)
    floor = Figure("call_floor", floor_ms, "ms", note="aiohttp and orjson alone")
    return [*found, floor, *(_beside_floor(figure, floor_ms) for figure in found)]


def _beside_floor(figure: Figure, floor_ms: float) -> Figure:
    assert figure.goal is not None
    goal = at_most_times(round(figure.goal.bound / FLOOR_MS, 2))
    return Figure(
        f"{figure.name}_vs_floor", figure.ours, "ms", goal, floor_ms, "aiohttp and orjson"
    )


async def _ours(url: str, calls: int, theirs_ms: float) -> AsyncIterator[Figure]:
    catalog, client = load_catalog(""), ProviderClient(_settings_below(url))
    trace = CallTrace("job", "step", 1)
    for name, goal_ms in GOALS_MS.items():
        model = catalog.find(name)

        async def call(model: object = model) -> object:
            return await client.complete(model, MESSAGES, PARAMS, trace)  # type: ignore[arg-type]

        ours_ms = await _cpu_ms(call, calls)
        yield Figure(
            f"call_{model.provider}",
            ours_ms,
            "ms",
            at_most(goal_ms),
            theirs_ms,
            "litellm.acompletion",
        )
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


async def _cpu_ms(call: Call, calls: int, parts: int = 5) -> float:
    """CPU time of a call in milliseconds: the median of the parts' means."""
    await asyncio.gather(*(call() for _ in range(IN_FLIGHT)))
    rounds = max(1, calls // IN_FLIGHT // parts)
    means = []
    for _ in range(parts):
        started = time.process_time()
        for _ in range(rounds):
            await asyncio.gather(*(call() for _ in range(IN_FLIGHT)))
        means.append((time.process_time() - started) * 1000 / (rounds * IN_FLIGHT))
    return median(means)


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
