"""Ollama, on own hardware. https://github.com/ollama/ollama/blob/main/docs/api.md"""

from __future__ import annotations

from factory.providers.provider import BaseUrl, Chat, Embeddings, Failures, Provider, Simulated

PROVIDER = Provider(
    name="ollama",
    title="Ollama",
    base_url=BaseUrl("OLLAMA_BASE_URL", "http://127.0.0.1:11434", "Where `ollama/…` answers."),
    chat=Chat("ollama", "/api/chat", litellm="ollama_chat"),
    # No limit of texts is documented. One machine computes them, and must answer before the call's timeout.
    embeddings=Embeddings("ollama", "/api/embed", most_texts=64),
    failures=Failures(too_long_words=("exceeds the context",)),
    simulated=Simulated("/ollama", "ollama/llama3.2"),
    free=True,
    any_model=True,
    usual=True,
    rank=40,
)
