"""The embedding APIs of the providers whose calls we carry: small enough to be spelled out here.

LiteLLM is not asked, because its way of embedding with Ollama looks the model up by a blocking request
on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from multidict import CIMultiDict

from factory.domain.lanes import LOCAL
from factory.domain.message import Embeddings
from factory.errors import ProviderCutOff
from factory.llm.catalog import OLLAMA, Model
from factory.llm.endpoint import Endpoint, Request
from factory.llm.openai_shape import price_vectors

CHARS_PER_TOKEN = 4
"""About what English takes; for Gemini, which says what it embeds costs but not how much that was."""


Vectors = tuple[list[list[float]], int]
"""One vector a text, in order, and the tokens of all texts."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The path below the base URL, the body for model and texts, and what to read from the answer."""

    path: str
    body: Callable[[Model, Sequence[str]], dict[str, Any]]
    read: Callable[[Any, Sequence[str]], Vectors]


def _openai_body(model: Model, texts: Sequence[str]) -> dict[str, Any]:
    return {"model": model.name, "input": list(texts), "encoding_format": "float"}


def _read_openai(answer: Any, _texts: Sequence[str]) -> Vectors:
    ordered = sorted(answer["data"], key=lambda item: item["index"])
    return [item["embedding"] for item in ordered], answer["usage"]["prompt_tokens"]


def _ollama_body(model: Model, texts: Sequence[str]) -> dict[str, Any]:
    return {"model": model.name, "input": list(texts)}


def _read_ollama(answer: Any, _texts: Sequence[str]) -> Vectors:
    return answer["embeddings"], answer.get("prompt_eval_count", 0)


def _gemini_body(model: Model, texts: Sequence[str]) -> dict[str, Any]:
    name = f"models/{model.name}"
    return {"requests": [{"model": name, "content": {"parts": [{"text": text}]}} for text in texts]}


def _read_gemini(answer: Any, texts: Sequence[str]) -> Vectors:
    counted = answer.get("usageMetadata", {}).get("promptTokenCount")
    tokens = sum(-(-len(text) // CHARS_PER_TOKEN) for text in texts) if counted is None else counted
    return [item["values"] for item in answer["embeddings"]], tokens


_OPENAI = Dialect("/embeddings", _openai_body, _read_openai)
EMBEDDING_DIALECTS = {
    "openai": _OPENAI,
    LOCAL: _OPENAI,
    "gemini": Dialect("/v1beta/models/{model}:batchEmbedContents", _gemini_body, _read_gemini),
    OLLAMA: Dialect("/api/embed", _ollama_body, _read_ollama),
}


def embedding_request(model: Model, texts: Sequence[str], endpoint: Endpoint) -> Request:
    """The call in the provider's words."""
    dialect = EMBEDDING_DIALECTS[model.provider]
    headers = CIMultiDict({"Content-Type": "application/json"})
    if endpoint.key and model.provider == "gemini":
        headers["x-goog-api-key"] = endpoint.key
    elif endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    url = endpoint.url(dialect.path.format(model=model.name))
    return Request(url, headers, orjson.dumps(dialect.body(model, texts)))


def read_vectors(model: Model, texts: Sequence[str], body: bytes, latency_ms: int) -> Embeddings:
    """The answer in our words. Raises ProviderCutOff unless it has one vector for each text."""
    try:
        vectors, tokens = EMBEDDING_DIALECTS[model.provider].read(orjson.loads(body), texts)
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError) as error:
        raise _unreadable(model, repr(error)) from None
    if len(vectors) != len(texts):
        raise _unreadable(model, f"{len(vectors)} vectors for {len(texts)} texts")
    return price_vectors(model, vectors, tokens, latency_ms)


def _unreadable(model: Model, why: str) -> ProviderCutOff:
    return ProviderCutOff(
        f"unreadable answer of {model.provider}: {why[:500]}",
        provider=model.provider,
        http_status=200,
    )
