"""Mistral. https://docs.mistral.ai/api"""

from __future__ import annotations

from factory.providers.provider import (
    BaseUrl,
    Chat,
    Embeddings,
    Failures,
    Key,
    Provider,
    Simulated,
)

PROVIDER = Provider(
    name="mistral",
    title="Mistral",
    key=Key("MISTRAL_API_KEY"),
    base_url=BaseUrl(
        "MISTRAL_BASE_URL",
        "https://api.mistral.ai/v1",
        "Where `mistral/…` answers, with its version.",
        slip=("https://api.mistral.ai", "lacks its version: https://api.mistral.ai/v1"),
        was="MISTRAL_API_BASE",
    ),
    chat=Chat("openai", "/chat/completions", litellm="mistral", cut_words=("model_length",)),
    # https://docs.mistral.ai/capabilities/embeddings: 16,384 tokens a batch
    embeddings=Embeddings("openai", "/embeddings", most_texts=128, most_tokens=16_000),
    failures=Failures(
        # "Prompt contains 40000 tokens …, too large for model with 32768 maximum context length"
        too_long=frozenset({"3051"}),
        too_long_words=("too large for model with",),
    ),
    simulated=Simulated("/mistral/v1", "mistral/mistral-small-latest"),
    domain="mistral.ai",
)
