"""Reads a provider's answer, in each of four shapes: text, reason to stop, refusal, counts. LiteLLM does not read it,
because it fails where a member is missing: an answer without `usage` is as good as any, and is paid for. Otherwise it
would read the same (tests/integration/llm/test_contract.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from factory.document import write_json
from factory.llm.tokens import (
    Counts,
    anthropic_counts,
    gemini_counts,
    ollama_counts,
    openai_counts,
)
from factory.providers import PROVIDERS
from factory.providers.provider import Dialect

Json = dict[str, Any]
STOP, LENGTH, FILTERED = "stop", "length", "content_filter"
LENGTHS = (
    *("length", "max_tokens", "MAX_TOKENS", "compaction", "model_context_window_exceeded"),
    *(word for one in PROVIDERS for word in one.chat.cut_words),
)
FILTERS = [
    "content_filter",
    "content_filtered",
    "refusal",
    "sensitive",
    "guardrail_intervened",
    "ERROR_TOXIC",
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "NO_IMAGE",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "ESCALATION",
]
FLAGGED = [
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
]
REASONS: Mapping[str, str] = {
    **dict.fromkeys(LENGTHS, LENGTH),
    **dict.fromkeys(FILTERS, FILTERED),
    "tool_use": "tool_calls",
    "tool_calls": "tool_calls",
    "function_call": "function_call",
}
"""OpenAI's reason to stop for each provider's; anything else is a plain stop."""
THOUGHTS = re.compile(
    r"<(?:think|thinking|budget:thinking)>.*?</(?:think|thinking|budget:thinking)>", re.DOTALL
)
ANSWER_TOOL = "json_tool_call"
"""The tool by whose arguments LiteLLM has Anthropic's models answer in JSON."""
WRAPPED = "values"
"""The argument that holds an answer which is not an object."""


@dataclass(frozen=True, slots=True)
class Saying:
    """`refusal`: why the model, or a filter, would not answer; None if it did."""

    text: str
    finish_reason: str
    counts: Counts
    refusal: str | None = None


def read_openai(answer: Json, _wrapped: bool = False) -> Saying | None:
    """Chat Completions. None for an answer without a choice that says anything."""
    choice = _object(_first(answer.get("choices")))
    message = choice.get("message")
    if not isinstance(message, dict) or choice.get("finish_reason") == "error":
        return None
    parts = message.get("content")
    refusal = message.get("refusal") or "".join(_texts(parts, "refusal"))
    reason = choice.get("finish_reason")
    return _saying(
        _without_thoughts(parts if isinstance(parts, str) else "".join(_texts(parts, "text"))),
        reason,
        openai_counts(answer.get("usage")),
        refusal=refusal,
    )


def read_anthropic(answer: Json, wrapped: bool = False) -> Saying | None:
    """Messages. `wrapped`: an answer in JSON is within `values` of the tool's arguments."""
    blocks = answer.get("content")
    if not isinstance(blocks, list):
        return None
    text = "".join(_texts(blocks, "text"))
    reason = answer.get("stop_reason")
    for block in blocks:
        if isinstance(block, dict) and block.get("name") == ANSWER_TOOL:
            arguments = block.get("input")
            if wrapped and isinstance(arguments, dict):
                arguments = arguments.get(WRAPPED)
            text = write_json(arguments).decode()
            reason = STOP if reason == "tool_use" else reason
            break
    explanation = _object(answer.get("stop_details")).get("explanation")
    return _saying(text, reason, anthropic_counts(answer.get("usage")), why=explanation)


def read_gemini(answer: Json, _wrapped: bool = False) -> Saying | None:
    """GenerateContent. A prompt that was blocked has no candidates, and a reason beside them."""
    counts = gemini_counts(answer.get("usageMetadata"))
    candidate = _object(_first(answer.get("candidates")))
    feedback = _object(answer.get("promptFeedback"))
    if not candidate and feedback.get("blockReason"):
        why = (feedback["blockReason"], feedback.get("blockReasonMessage"))
        return Saying("", FILTERED, counts, ": ".join(str(part) for part in why if part))
    reason = candidate.get("finishReason")
    parts = _object(candidate.get("content")).get("parts")
    if not isinstance(parts, list) and REASONS.get(str(reason)) not in (LENGTH, FILTERED):
        return None
    spoken = [part for part in parts or () if _object(part).get("thought") is not True]
    # A text that a filter stopped half-way is withheld, as LiteLLM does: it was flagged.
    text = "" if reason in FLAGGED else "".join(_texts(spoken, "text"))
    return _saying(text, reason, counts, why=candidate.get("finishMessage"))


def read_ollama(answer: Json, _wrapped: bool = False) -> Saying | None:
    """/api/chat."""
    message = answer.get("message")
    if not isinstance(message, dict):
        return None
    content = message.get("content")
    text = content if isinstance(content, str) else "".join(_texts(content, "text"))
    if "thinking" not in message:
        text = _without_thoughts(text)
    return _saying(text, answer.get("done_reason"), ollama_counts(answer))


Reader = Callable[[Json, bool], Saying | None]
READERS: Mapping[Dialect, Reader] = {
    "openai": read_openai,
    "anthropic": read_anthropic,
    "gemini": read_gemini,
    "ollama": read_ollama,
}


def _saying(
    text: str, reason: Any, counts: Counts, *, refusal: Any = None, why: Any = None
) -> Saying:
    """`why`: why a filter stopped the answer; if the provider does not explain, its own reason to stop is shown."""
    finish = REASONS.get(reason, STOP) if isinstance(reason, str) else STOP
    if finish == FILTERED:
        refusal = refusal or why or reason
    return Saying(text, finish, counts, str(refusal) if refusal else None)


def _texts(parts: Any, field: str) -> Iterable[str]:
    """The strings of a list of content parts, under `field` of each."""
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, str) and field == "text":
            yield part
        elif isinstance(part, dict) and isinstance(part.get(field), str):
            yield part[field]


def _without_thoughts(text: str) -> str:
    """The text without the reasoning that open models put first, between tags."""
    if not text.startswith("<"):
        return text
    thoughts = THOUGHTS.match(text)
    return text[thoughts.end() :] if thoughts else text


def _first(items: Any) -> Any:
    return items[0] if isinstance(items, list) and items else None


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
