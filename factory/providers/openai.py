"""OpenAI. https://platform.openai.com/docs/api-reference"""

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
    name="openai",
    title="OpenAI",
    key=Key("OPENAI_API_KEY", begins=("sk-proj-",)),
    base_url=BaseUrl(
        "OPENAI_BASE_URL",
        "https://api.openai.com/v1",
        "Where `openai/…` answers, with its version.",
        slip=("https://api.openai.com", "lacks its version: https://api.openai.com/v1"),
    ),
    chat=Chat("openai", "/chat/completions", litellm="openai"),
    # https://platform.openai.com/docs/api-reference/embeddings/create
    embeddings=Embeddings("openai", "/embeddings", most_texts=2048, most_tokens=300_000),
    failures=Failures(
        no_credit=frozenset(
            {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
        ),
        too_long=frozenset({"context_length_exceeded"}),
        too_long_words=(
            "maximum context length",
            # A 429 for more tokens than the account may send in a minute. Groq says so as well.
            "request too large for",
        ),
        filtered=frozenset({"content_policy_violation", "moderation_blocked", "invalid_prompt"}),
    ),
    simulated=Simulated("/openai/v1", "openai/gpt-4o-mini"),
    domain="openai.com",
    usual=True,
    rank=10,
)
