"""The counts of an answer, which may be missing, null, or numbers that cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from factory.domain.money import FREE, Price, Usage, cost_micros

MOST_TOKENS = 100_000_000
"""No model's window is a tenth of this, and no sum of such counts leaves Postgres' 64 bits."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a provider says that a call took. `known`: all that its price asks for is there, and can be."""

    usage: Usage
    known: bool

    def cost_micros(self, price: Price | None) -> int | None:
        """None where a count or the price is not known. What is free is free at any count."""
        if price == FREE:
            return 0
        return cost_micros(self.usage, price) if self.known else None


UNKNOWN = Counts(Usage(), known=False)


def count(value: object) -> int | None:
    """A number of tokens; None for anything that is not one."""
    if type(value) is int and 0 <= value <= MOST_TOKENS:
        return value
    return None


def count_or_none_given(value: object) -> int | None:
    """The same for a count that providers leave out, or send as null, where it is 0."""
    return 0 if value is None else count(value)


def counts_of(
    input_tokens: int | None,
    output_tokens: int | None,
    cached_tokens: int | None = 0,
    cache_write_tokens: int | None = 0,
) -> Counts:
    """Counts of which None is not known. Cached tokens are parts of the input, so they cannot be more."""
    given = (input_tokens, output_tokens, cached_tokens, cache_write_tokens)
    read, written = cached_tokens or 0, cache_write_tokens or 0
    whole = input_tokens or 0
    fits = read + written <= whole
    usage = Usage(
        whole, output_tokens or 0, min(read, whole), min(written, whole - min(read, whole))
    )
    return Counts(usage, known=fits and None not in given)


def openai_counts(usage: Any) -> Counts:
    """Of OpenAI's `usage`, and of all who took its shape."""
    if not isinstance(usage, dict):
        return UNKNOWN
    details = usage.get("prompt_tokens_details")
    parts = details if isinstance(details, dict) else {}
    return counts_of(
        count(usage.get("prompt_tokens")),
        count(usage.get("completion_tokens")),
        count_or_none_given(parts.get("cached_tokens")),
        count_or_none_given(parts.get("cache_write_tokens", parts.get("cache_creation_tokens"))),
    )


def anthropic_counts(usage: Any) -> Counts:
    """Anthropic's `input_tokens` are those that no cache had to do with."""
    if not isinstance(usage, dict):
        return UNKNOWN
    fresh = count(usage.get("input_tokens"))
    read = count_or_none_given(usage.get("cache_read_input_tokens"))
    written = count_or_none_given(usage.get("cache_creation_input_tokens"))
    whole = None if fresh is None else fresh + (read or 0) + (written or 0)
    return counts_of(whole, count(usage.get("output_tokens")), read, written)


def gemini_counts(usage: Any) -> Counts:
    """Gemini leaves out what is 0, counts thoughts apart, and for some models within the candidates.

    https://ai.google.dev/api/generate-content#UsageMetadata
    """
    if not isinstance(usage, dict):
        return UNKNOWN
    prompt, total = count(usage.get("promptTokenCount")), count(usage.get("totalTokenCount"))
    said = usage.get("candidatesTokenCount")
    thoughts = count_or_none_given(usage.get("thoughtsTokenCount"))
    tools = count_or_none_given(usage.get("toolUsePromptTokenCount"))
    cached = count_or_none_given(usage.get("cachedContentTokenCount"))
    if prompt is None or thoughts is None or tools is None:
        return Counts(counts_of(prompt, count(said), cached).usage, known=False)
    if said is None and total is not None:
        said = max(0, total - prompt - tools - thoughts)
    spoken = count(said)
    if spoken is not None and prompt + spoken + tools != total:
        spoken += thoughts
    return counts_of(prompt + tools, spoken, cached)


def ollama_counts(answer: dict[str, Any]) -> Counts:
    """Ollama leaves out the count of a prompt that it had in its cache."""
    return counts_of(
        count_or_none_given(answer.get("prompt_eval_count")), count(answer.get("eval_count"))
    )
