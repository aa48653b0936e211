"""From the bytes of an answer to a Completion: what it says, what it costs, or the error that it stands for."""

from __future__ import annotations

from typing import Any

from factory.document import read_json, storable_text
from factory.domain.message import Completion
from factory.errors import FactoryError, ProviderError
from factory.llm.catalog import Model
from factory.llm.failure import error_within, unanswered
from factory.llm.saying import Json, Reader, Saying
from factory.llm.tokens import Counts, anthropic_counts, gemini_counts, ollama_counts, openai_counts


def read_body(
    model: Model, read: Reader, body: bytes, latency_ms: int, *, wrapped: bool = False
) -> Completion:
    """The answer within the body of a 2xx. Raises the ProviderError that any other body stands for."""
    try:
        answer = read_json(body, exact=False)
    except ValueError:
        raise unanswered(model.provider, body) from None
    return read_answer(model, read, answer, latency_ms, wrapped=wrapped)


def read_answer(
    model: Model, read: Reader, answer: Any, latency_ms: int, *, wrapped: bool = False
) -> Completion:
    """The same for a body that is JSON already. An error that came with counts carries what it cost."""
    saying = None
    if isinstance(answer, dict) and not error_within(answer):
        saying = read(answer, wrapped)
    if saying is None:
        raise _paid(unanswered(model.provider, answer), model, answer, latency_ms)
    return _completion(model, saying, latency_ms)


def _completion(model: Model, saying: Saying, latency_ms: int) -> Completion:
    return Completion(
        provider=model.provider,
        model=model.name,
        text=storable_text(saying.text),
        finish_reason=saying.finish_reason,
        usage=saying.counts.usage,
        cost_micros=saying.counts.cost_micros(model.price),
        latency_ms=latency_ms,
        refusal=None if saying.refusal is None else storable_text(saying.refusal),
    )


def _paid(error: ProviderError, model: Model, answer: Any, latency_ms: int) -> FactoryError:
    counts = _counts(answer) if isinstance(answer, dict) else None
    if counts is not None:
        error.completion = _completion(model, Saying("", "error", counts), latency_ms)
    return error


def _counts(answer: Json) -> Counts | None:
    """Of an answer that says nothing, whatever its shape."""
    usage = answer.get("usage")
    found = (
        gemini_counts(answer.get("usageMetadata")),
        openai_counts(usage),
        anthropic_counts(usage),
        ollama_counts(answer),
    )
    return next((counts for counts in found if counts.known), None)
