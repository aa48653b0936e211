"""A model of this machine: llama.cpp's server, or another that speaks as OpenAI does."""

from __future__ import annotations

from factory.providers.provider import BaseUrl, Chat, Embeddings, Failures, Provider

PROVIDER = Provider(
    name="local",
    title="Local",
    base_url=BaseUrl(
        "LOCAL_LLM_BASE_URL",
        "http://127.0.0.1:8091/v1",
        "An OpenAI-compatible server on this machine; it answers for `local/<model>`.",
    ),
    chat=Chat("openai", "/chat/completions", litellm="openai"),
    # Four seconds of a core.
    embeddings=Embeddings("openai", "/embeddings", most_texts=64),
    failures=Failures(too_long=frozenset({"exceed_context_size_error"})),
    usual=True,
    rank=90,
)
