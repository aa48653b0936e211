"""LiteLLM reaches the other three providers by their own wire formats."""

from __future__ import annotations

import asyncio
import json
from types import ModuleType
from typing import Any

import pytest

from factory.simulator import HostedSimulator

MODELS = {
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "ollama": "ollama_chat/llama3.2",
}
BASES = {"anthropic": "/anthropic", "gemini": "/gemini/v1beta", "ollama": "/ollama"}
SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string", "enum": ["good", "bad"]}},
    "required": ["mood"],
    "additionalProperties": False,
}


def complete(litellm: ModuleType, simulator: HostedSimulator, provider: str, **more: Any) -> Any:
    """One completion, or the list of a stream's chunks."""

    async def run() -> Any:
        answer = await litellm.acompletion(
            model=more.pop("model", MODELS[provider]),
            api_base=simulator.url + BASES[provider],
            api_key="k",
            messages=[{"role": "user", "content": "What is a queue?"}],
            max_retries=0,
            num_retries=0,
            **more,
        )
        return [chunk async for chunk in answer] if more.get("stream") else answer

    return asyncio.run(run())


@pytest.mark.parametrize("provider", MODELS)
def test_a_chat_is_answered(litellm: ModuleType, simulator: HostedSimulator, provider: str):
    answer = complete(litellm, simulator, provider)
    text = answer.choices[0].message.content
    assert "not a model" in text
    assert answer.usage.completion_tokens == -(-len(text) // 4)


@pytest.mark.parametrize("provider", MODELS)
def test_a_stream_is_answered(litellm: ModuleType, simulator: HostedSimulator, provider: str):
    chunks = complete(litellm, simulator, provider, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "not a model" in text
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    "model",
    [
        "anthropic/claude-sonnet-4-5",
        "anthropic/claude-3-haiku-20240307",
        *list(MODELS.values())[1:],
    ],
)
def test_a_schema_is_satisfied(litellm: ModuleType, simulator: HostedSimulator, model: str):
    """The older Claude gets it as a forced tool, the newer one as an output format."""
    provider = next(name for name in MODELS if model.startswith(name))
    wanted = {"type": "json_schema", "json_schema": {"name": "mood", "schema": SCHEMA}}
    answer = complete(litellm, simulator, provider, model=model, response_format=wanted)
    assert json.loads(answer.choices[0].message.content)["mood"] in ("good", "bad")


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
def test_a_rate_limit_and_a_missing_model_raise_their_own_errors(
    litellm: ModuleType, simulator: HostedSimulator, provider: str
):
    with pytest.raises(litellm.RateLimitError):
        complete(litellm, simulator, provider, extra_headers={"x-simulate": "status=429"})
    with pytest.raises(litellm.NotFoundError):
        complete(litellm, simulator, provider, model=f"{provider}/claude-does-not-exist")


@pytest.mark.parametrize(
    ("model", "base", "dimensions"),
    [
        ("gemini/gemini-embedding-001", "/gemini/v1beta", 3072),
        ("ollama/nomic-embed-text", "/ollama", 768),
    ],
)
def test_embeddings_are_made(
    litellm: ModuleType, simulator: HostedSimulator, model: str, base: str, dimensions: int
):
    made = asyncio.run(
        litellm.aembedding(
            model=model, api_base=simulator.url + base, api_key="k", input=["tea", "coffee"]
        )
    )
    assert [len(item["embedding"]) for item in made.data] == [dimensions] * 2
