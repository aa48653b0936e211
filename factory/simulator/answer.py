"""What the simulator says: a function of the request and the seed, and never of a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from factory.simulator.schema import Schema, make_value

CHARS_PER_TOKEN = 4
CONTEXT_TOKENS = 128_000
"""Prompts beyond this are refused, as a real model's context window does."""

JSON_OBJECT: Schema = {
    "type": "object",
    "properties": {"simulated": {"const": True}, "answer": {"type": "string"}},
    "required": ["simulated", "answer"],
}
"""The schema behind a provider's plain "answer in JSON" mode."""

_CACHED_FROM_TOKENS = 1024
_CACHE_STEP_TOKENS = 128
_SENTENCES = (
    "No model was asked for this text.",
    "The factory simulator wrote it from a seed and the request alone.",
    "It stands in for an answer while queues, retries and budgets are put to the test.",
    "The same request and the same seed give the same sentences again.",
    "Its tokens are counted at four characters each.",
    "Nothing here should be read as a fact.",
    "The latency before it was drawn from the same seed.",
    "A real provider would have billed for a text of this length.",
    "Each call is written to a log before its last byte leaves.",
    "Whoever counts that log knows what was truly called.",
    "Ask again with another seed to see other sentences.",
    "This sentence exists to make the answer a little longer.",
    "A worker that died in the middle would have to ask once more.",
    "The wire format around this text is the provider's own.",
    "Errors, stalls and broken streams come from scripts, on demand.",
    "End to end, everything but the thinking is real.",
)


@dataclass(frozen=True, slots=True)
class Question:
    """A chat request, stripped of its provider's wire format.

    `schema` is what the answer's JSON must satisfy: the answer itself, or, where `tool` names one,
    the arguments of the call of that tool.
    """

    model: str
    prompt: str
    max_tokens: int | None = None
    schema: Schema | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A deterministic answer. `text` holds a tool call's arguments as JSON where `tool` is set."""

    text: str
    tool: str | None
    truncated: bool
    input_tokens: int
    output_tokens: int
    cached_tokens: int


def answer_question(question: Question, digest: bytes) -> Answer:
    """The answer that `digest` (of the request and the seed, 16 bytes) leads to."""
    text = _write(question, digest)
    limit = None if question.max_tokens is None else question.max_tokens * CHARS_PER_TOKEN
    truncated = limit is not None and len(text) > limit
    text = text[:limit]
    input_tokens = count_tokens(question.prompt)
    return Answer(
        text=text,
        tool=question.tool,
        truncated=truncated,
        input_tokens=input_tokens,
        output_tokens=count_tokens(text),
        cached_tokens=_cached_tokens(input_tokens),
    )


def count_tokens(text: str) -> int:
    """About what a real tokeniser counts in English: a token for each four characters."""
    return -(-len(text) // CHARS_PER_TOKEN)


def split_text(text: str, parts: int = 8) -> list[str]:
    """The text in at most `parts` pieces, as a stream would send them."""
    size = max(1, -(-len(text) // parts))
    return [text[start : start + size] for start in range(0, len(text), size)]


def collect_text(value: Any) -> Iterator[str]:
    """Every text in a provider's messages, whatever their nesting."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from collect_text(item)
    elif isinstance(value, dict):
        for name in ("text", "content", "parts", "output", "arguments", "input"):
            yield from collect_text(value.get(name))


def join_text(*values: Any) -> str:
    """Every text in the values, one a line."""
    return "\n".join(text for value in values for text in collect_text(value))


def _write(question: Question, digest: bytes) -> str:
    if question.schema is not None:
        return orjson.dumps(make_value(question.schema, digest)).decode()
    count = 2 + digest[0] % 7
    chosen = (_SENTENCES[byte % len(_SENTENCES)] for byte in digest[1 : 1 + count])
    sentences = dict.fromkeys(chosen)
    return f"[simulated {digest[:4].hex()}, not a model] {' '.join(sentences)}"


def _cached_tokens(input_tokens: int) -> int:
    """Half of a long prompt, in whole steps: the share that a warm prompt cache would serve."""
    if input_tokens < _CACHED_FROM_TOKENS:
        return 0
    return input_tokens // 2 // _CACHE_STEP_TOKENS * _CACHE_STEP_TOKENS
