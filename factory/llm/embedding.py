"""The embedding APIs of the providers that we call ourselves; they are small enough to be written out here. LiteLLM is
not used: for Ollama it looks the model up by a blocking request on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from multidict import CIMultiDict

from factory.document import read_json
from factory.domain.message import Embeddings
from factory.errors import ProviderCutOff
from factory.llm.catalog import Model
from factory.llm.endpoint import Endpoint, Request, key_headers
from factory.llm.failure import error_within, unanswered
from factory.llm.tokens import count, counts_of
from factory.llm.vectors import Vectors, read_indexed_vectors, read_vectors
from factory.providers import PROVIDERS

CHARS_PER_TOKEN = 4
"""Characters per token of English, about; used for Gemini, whose answer lacks the count of tokens."""

OPENAI_URL = "https://api.openai.com/"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one provider spells an embedding call, and what is read from its answer."""

    body: Callable[[Model, Sequence[str], str], Json]
    """The body for these texts, to be sent to that base URL."""
    vectors: Callable[[Json, int], Vectors]
    """The vectors of so many texts. Raises ValueError, or any other exception for an answer of an unexpected shape."""
    tokens: Callable[[Json, Sequence[str]], int | None]
    """The tokens that were embedded; None if the answer does not say."""


def _openai_body(model: Model, texts: Sequence[str], base_url: str) -> Json:
    # Base64 is a quarter of the bytes and takes a tenth of the time to read, but many servers that are compatible
    # otherwise refuse it or ignore it. https://github.com/mem0ai/mem0/pull/4151
    encoding = "base64" if base_url.startswith(OPENAI_URL) else "float"
    return {"model": model.name, "input": list(texts), "encoding_format": encoding}


def _openai_vectors(answer: Json, texts: int) -> Vectors:
    return read_indexed_vectors(answer["data"], texts)


def _openai_tokens(answer: Json, _texts: Sequence[str]) -> int | None:
    usage = _part(answer, "usage")
    return count(usage.get("prompt_tokens", usage.get("total_tokens")))


def _ollama_body(model: Model, texts: Sequence[str], _base_url: str) -> Json:
    return {"model": model.name, "input": list(texts)}


def _ollama_vectors(answer: Json, texts: int) -> Vectors:
    return read_vectors(answer["embeddings"], texts)


def _ollama_tokens(answer: Json, _texts: Sequence[str]) -> int | None:
    return count(answer.get("prompt_eval_count"))


def _gemini_body(model: Model, texts: Sequence[str], _base_url: str) -> Json:
    name = f"models/{model.name}"
    return {"requests": [{"model": name, "content": {"parts": [{"text": text}]}} for text in texts]}


def _gemini_vectors(answer: Json, texts: int) -> Vectors:
    return read_vectors([item.get("values") for item in answer["embeddings"]], texts)


def _gemini_tokens(answer: Json, texts: Sequence[str]) -> int | None:
    counted = count(_part(answer, "usageMetadata").get("promptTokenCount"))
    if counted is None:
        return sum(-(-len(text) // CHARS_PER_TOKEN) for text in texts)
    return counted


def _part(answer: Json, name: str) -> Json:
    found = answer.get(name)
    return found if isinstance(found, dict) else {}


_OPENAI = Dialect(_openai_body, _openai_vectors, _openai_tokens)
_DIALECTS: Mapping[str, Dialect] = {
    "openai": _OPENAI,
    "gemini": Dialect(_gemini_body, _gemini_vectors, _gemini_tokens),
    "ollama": Dialect(_ollama_body, _ollama_vectors, _ollama_tokens),
}
EMBEDDINGS = {one.name: one.embeddings for one in PROVIDERS if one.embeddings}
"""The dialects by provider, for those that have an embedding API and that we call ourselves."""


def embedding_request(model: Model, texts: Sequence[str], endpoint: Endpoint) -> Request:
    """The call in the provider's words."""
    api = EMBEDDINGS[model.provider]
    headers = CIMultiDict({"Content-Type": "application/json"})
    headers.update(key_headers(model.provider, endpoint.key))
    body = _DIALECTS[api.dialect].body(model, texts, endpoint.base_url)
    return Request(endpoint.url(api.path.format(model=model.name)), headers, orjson.dumps(body))


def read_embeddings(model: Model, texts: Sequence[str], body: bytes, latency_ms: int) -> Embeddings:
    """The vectors of the answer. Raises the ProviderError that a body without vectors means."""
    try:
        answer = read_json(body, exact=False)
    except ValueError:
        raise unanswered(model.provider, body) from None
    dialect = _DIALECTS[EMBEDDINGS[model.provider].dialect]
    return _embeddings(model, dialect, texts, answer, latency_ms)


def read_openai_embeddings(
    model: Model, texts: Sequence[str], answer: Any, latency_ms: int
) -> Embeddings:
    """The same for an answer in OpenAI's shape that is parsed already."""
    return _embeddings(model, _OPENAI, texts, answer, latency_ms)


def _embeddings(
    model: Model, dialect: Dialect, texts: Sequence[str], answer: Any, latency_ms: int
) -> Embeddings:
    if not isinstance(answer, dict) or error_within(answer):
        raise unanswered(model.provider, answer)
    counts = counts_of(dialect.tokens(answer, texts), 0)
    cost = counts.cost_micros(model.price)
    found = Embeddings(model.provider, model.name, [], counts.usage, cost, latency_ms)
    try:
        return replace(found, vectors=dialect.vectors(answer, len(texts)))
    except (LookupError, TypeError, AttributeError):
        raise _unusable(found, "it holds no vectors") from None
    except ValueError as error:
        raise _unusable(found, str(error)) from None


def _unusable(found: Embeddings, why: str) -> ProviderCutOff:
    error = ProviderCutOff(
        f"the answer of {found.provider} cannot be used: {why}",
        provider=found.provider,
        http_status=200,
    )
    if found.usage.input_tokens:
        error.completion = found
    return error
