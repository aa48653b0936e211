"""Well-formed values in the wrong place: another provider's key, a call's address for a base URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from factory.config.faults import Fault

OWNERS = {"sk-ant-": "Anthropic", "sk-proj-": "OpenAI", "AIza": "Google"}
"""How keys begin, the longest first where one begins as another."""
KEYS = {
    "OPENAI_API_KEY": ("OpenAI", "OPENAI_BASE_URL"),
    "ANTHROPIC_API_KEY": ("Anthropic", "ANTHROPIC_BASE_URL"),
    "GOOGLE_API_KEY": ("Google", "GEMINI_BASE_URL"),
}
CALLS = ("/completions", "/responses", "/messages", "/embeddings", "/api/chat", ":generateContent")
WHOLE = {
    "OPENAI_BASE_URL": ("https://api.openai.com", "lacks its version: https://api.openai.com/v1"),
    "ANTHROPIC_BASE_URL": ("https://api.anthropic.com/v1", "must end before /v1, which is added"),
    "GEMINI_BASE_URL": (
        "https://generativelanguage.googleapis.com/v1beta",
        "must end before /v1beta, which is added",
    ),
}
BASES = (*WHOLE, "OLLAMA_BASE_URL", "LOCAL_LLM_BASE_URL")


def mixups(found: Mapping[str, str]) -> Iterator[Fault]:
    """Settings that some provider would refuse call by call. A provider that is played by another is let be."""
    for name, (owner, base_url) in KEYS.items():
        begins = next((start for start in OWNERS if found.get(name, "").startswith(start)), None)
        if begins and OWNERS[begins] != owner and base_url not in found:
            yield Fault(name, f"is a key of {OWNERS[begins]}", weak=True)
    for name in BASES:
        url = found.get(name, "").rstrip("/")
        call = next((path for path in CALLS if url.endswith(path)), None)
        if call:
            yield Fault(
                name, f"names a call: it must end before {call} and what leads to it", weak=True
            )
        elif name in WHOLE and url == WHOLE[name][0]:
            yield Fault(name, WHOLE[name][1], weak=True)
