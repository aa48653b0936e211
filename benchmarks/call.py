"""CPU that one provider call costs the caller: `python benchmarks/llm_call.py [calls]`.

The provider is the simulator in a process of its own, without latency; only this process's CPU time
is counted. For comparison: the same bytes sent by aiohttp alone, and `litellm.acompletion`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from aiohttp import ClientSession

from factory.config import Settings
from factory.domain.message import Message, Params, Role
from factory.llm.call import CallTrace, ProviderClient
from factory.llm.catalog import load_catalog
from factory.llm.provider import litellm

MODELS = ("gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash", "ollama/llama3.2")
IN_FLIGHT = 50
MESSAGES = (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "What is a queue?"))
PARAMS = Params(temperature=0.2, max_tokens=60)
Call = Callable[[], Awaitable[object]]


@contextmanager
def simulator_url() -> Iterator[str]:
    with TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "factory.simulator", "--latency-ms", "0"]
        command += ["--log", str(Path(directory, "calls.log"))]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                yield json.loads(process.stdout.readline())["url"]  # type: ignore[union-attr]
            finally:
                process.terminate()


def settings_below(url: str) -> Settings:
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


async def measure(name: str, call: Call, calls: int) -> None:
    """Prints the CPU time of `call`, the mean over `calls` of them, in milliseconds."""
    await asyncio.gather(*(call() for _ in range(IN_FLIGHT)))
    started, wall = time.process_time(), time.monotonic()
    for _ in range(calls // IN_FLIGHT):
        await asyncio.gather(*(call() for _ in range(IN_FLIGHT)))
    cpu_ms = (time.process_time() - started) * 1000 / calls
    rate = calls / (time.monotonic() - wall)
    print(f"{name:<38} {cpu_ms:6.3f} ms CPU a call  {rate:8.0f} calls/s")


async def run(url: str, calls: int) -> None:
    catalog, client = load_catalog(""), ProviderClient(settings_below(url))
    trace = CallTrace("job", "step", 1)
    for name in MODELS:
        model = catalog.find(name)

        async def ours(model: object = model) -> object:
            return await client.complete(model, MESSAGES, PARAMS, trace)  # type: ignore[arg-type]

        await measure(model.id, ours, calls)
    messages = [message.as_dict() for message in MESSAGES]
    body = orjson.dumps({"model": "gpt-4o-mini", "messages": messages, "max_tokens": 60})

    async with ClientSession(headers={"Authorization": "Bearer key"}) as session:

        async def bare() -> object:
            async with session.post(f"{url}/openai/v1/chat/completions", data=body) as answer:
                return orjson.loads(await answer.read())

        await measure("aiohttp and orjson alone", bare, calls)

    async def theirs() -> object:
        return await litellm.acompletion(
            "openai/gpt-4o-mini",
            messages,
            api_base=f"{url}/openai/v1",
            api_key="key",
            max_retries=0,
            num_retries=0,
        )

    await measure("litellm.acompletion, openai", theirs, max(calls // 10, IN_FLIGHT))
    await client.close()


if __name__ == "__main__":
    gc.freeze()  # as workers do (workers/pool.py)
    gc.set_threshold(50_000, 20, 50)
    with simulator_url() as base:
        asyncio.run(run(base, int(sys.argv[1]) if len(sys.argv) > 1 else 3000))
