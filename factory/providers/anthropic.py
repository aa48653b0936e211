"""Anthropic. https://docs.anthropic.com/en/api/overview"""

from __future__ import annotations

from factory.providers.provider import BaseUrl, Chat, Failures, Key, Provider, Simulated, Token

PROVIDER = Provider(
    name="anthropic",
    title="Anthropic",
    key=Key(
        "ANTHROPIC_API_KEY",
        header="x-api-key",
        scheme="",
        begins=("sk-ant-",),
        token=Token(
            "sk-ant-oat",
            beside=(
                ("anthropic-beta", "oauth-2025-04-20"),
                ("anthropic-dangerous-direct-browser-access", "true"),
            ),
        ),
    ),
    base_url=BaseUrl(
        "ANTHROPIC_BASE_URL",
        "https://api.anthropic.com",
        "Where `anthropic/…` answers, without a version.",
        slip=("https://api.anthropic.com/v1", "must end before /v1, which is added"),
    ),
    chat=Chat("anthropic", "/v1/messages", litellm="anthropic"),
    failures=Failures(
        overloaded_statuses=frozenset({529}),
        # It has no code of its own for either.
        too_long_words=("prompt is too long",),
        filtered_words=("blocked by content filtering",),
    ),
    simulated=Simulated("/anthropic", "anthropic/claude-haiku-4-5"),
    domain="anthropic.com",
    usual=True,
    rank=20,
)
