"""OpenAI's shape is what LiteLLM translates from and to: our parameters into it, its answers out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from factory.domain.message import Completion, Embeddings, Params
from factory.domain.money import Usage, cost_micros
from factory.errors import InvalidOutput
from factory.llm.answer import is_strict, parse_answer
from factory.llm.catalog import Model


def openai_params(params: Params) -> dict[str, Any]:
    """What is set in `params`, by OpenAI's names. The timeout is not sent to anyone."""
    schema = params.json_schema
    wanted = {
        "temperature": params.temperature,
        "top_p": params.top_p,
        "max_tokens": params.max_tokens,
        "seed": params.seed,
        "stop": list(params.stop) or None,
        "response_format": None if schema is None else _response_format(schema),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {"name": "answer", "schema": dict(schema), "strict": is_strict(schema)}
    return {"type": "json_schema", "json_schema": wanted}


def read_completion(model: Model, response: Any, latency_ms: int) -> Completion:
    """A Completion from a `litellm.ModelResponse`, with what it costs by the catalog's price."""
    choice = response.choices[0]
    usage = _read_usage(response.usage)
    return Completion(
        provider=model.provider,
        model=model.name,
        text=choice.message.content or "",
        finish_reason=choice.finish_reason,
        usage=usage,
        cost_micros=cost_micros(usage, model.price),
        latency_ms=latency_ms,
    )


def read_embeddings(model: Model, response: Any, latency_ms: int) -> Embeddings:
    """Embeddings from a `litellm.EmbeddingResponse`."""
    ordered = sorted(response.data, key=lambda item: item["index"])
    vectors = [item["embedding"] for item in ordered]
    return price_vectors(model, vectors, response.usage.prompt_tokens, latency_ms)


def price_vectors(
    model: Model, vectors: list[list[float]], input_tokens: int, latency_ms: int
) -> Embeddings:
    """Embeddings with what they cost by the catalog's price."""
    usage = Usage(input_tokens=input_tokens)
    return Embeddings(
        provider=model.provider,
        model=model.name,
        vectors=vectors,
        usage=usage,
        cost_micros=cost_micros(usage, model.price),
        latency_ms=latency_ms,
    )


def fit_schema(completion: Completion, schema: Mapping[str, Any] | None) -> Completion:
    """`completion` with its text parsed. Raises InvalidOutput, with the paid completion, if it does not fit."""
    if schema is None:
        return completion
    try:
        return replace(completion, parsed=parse_answer(completion.text, schema))
    except InvalidOutput as error:
        raise InvalidOutput(error.message, completion=completion) from None


def _read_usage(usage: Any) -> Usage:
    """Providers leave out what they do not count, or send null."""
    details = usage.prompt_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cached_tokens=getattr(details, "cached_tokens", None) or 0,
        cache_write_tokens=getattr(details, "cache_write_tokens", None) or 0,
    )
