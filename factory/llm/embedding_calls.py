"""How many texts and tokens a provider takes in one embedding call, and which texts are sent together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from factory.limits.budget import most_tokens
from factory.llm.catalog import Model
from factory.providers import PROVIDERS

MOST_TEXTS = 256
"""The most texts in any call: no more are repeated after a crash, and reading the answer blocks the event loop for 30
ms instead of 300.
"""
ADDED_TOKENS = 2
"""Tokens that a model may add around a text."""


@dataclass(frozen=True, slots=True)
class CallLimit:
    """What one call may hold. `tokens` None: there is no limit on tokens."""

    texts: int
    tokens: int | None = None


LIMITS = {
    # https://learn.microsoft.com/azure/ai-services/openai/how-to/embeddings
    "azure": CallLimit(2048, 300_000),
    # https://cloud.google.com/vertex-ai/generative-ai/docs/embeddings/get-text-embeddings
    "vertex_ai": CallLimit(250, 20_000),
    # https://docs.cohere.com/reference/embed
    "cohere": CallLimit(96),
    "cohere_chat": CallLimit(96),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
    "bedrock": CallLimit(96),
    # https://docs.voyageai.com/docs/embeddings: 1,000 texts; 120,000 tokens with the largest models
    "voyage": CallLimit(1000, 120_000),
    **{
        one.name: CallLimit(one.embeddings.most_texts, one.embeddings.most_tokens)
        for one in PROVIDERS
        if one.embeddings
    },
}
"""The limits by provider: of those that LiteLLM calls for us, and of those that have a file."""
MODEL_LIMITS = {
    # "supports one instance per request", on the page of Vertex AI above
    "vertex_ai/gemini-embedding-001": CallLimit(1),
}
UNKNOWN = CallLimit(32, 30_000)
"""Hugging Face's servers take 32 texts unless configured otherwise (`--max-client-batch-size`)."""


def calls_of(model: Model, texts: Sequence[str]) -> Iterator[range]:
    """Which texts go into each call, in order, by index. A text counts with the most tokens that it could have. One
    that exceeds the limit by itself is sent alone.
    """
    limit = MODEL_LIMITS.get(model.id) or LIMITS.get(model.provider, UNKNOWN)
    start, tokens = 0, 0
    for place, text in enumerate(texts):
        more = most_tokens(text) + ADDED_TOKENS
        full = place - start >= min(MOST_TEXTS, limit.texts)
        if place > start and (full or (limit.tokens is not None and tokens + more > limit.tokens)):
            yield range(start, place)
            start, tokens = place, 0
        tokens += more
    if start < len(texts):
        yield range(start, len(texts))
