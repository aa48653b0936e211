"""Counts of tokens that are missing or cannot be: the answer is kept, and its cost is unknown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from factory.domain.money import FREE, Price, Usage
from factory.llm.tokens import (
    Counts,
    anthropic_counts,
    gemini_counts,
    ollama_counts,
    openai_counts,
)

PRICE = Price(Decimal("0.000001"), Decimal("0.000002"), Decimal("0.0000001"))
BAD = [None, -1, 2**63, 10**30, 1.5, 3.0, "12", True, [], {}, float("nan")]


def openai(prompt: Any = 100, completion: Any = 10, cached: Any = 0) -> Counts:
    details = {"cached_tokens": cached}
    return openai_counts(
        {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": details}
    )


def anthropic(fresh: Any = 100, output: Any = 10, cached: Any = 0) -> Counts:
    return anthropic_counts(
        {"input_tokens": fresh, "output_tokens": output, "cache_read_input_tokens": cached}
    )


def gemini(prompt: Any = 100, output: Any = 10, cached: Any = 0) -> Counts:
    return gemini_counts(
        {
            "promptTokenCount": prompt,
            "candidatesTokenCount": output,
            "cachedContentTokenCount": cached,
        }
    )


def ollama(prompt: Any = 100, output: Any = 10, _cached: Any = 0) -> Counts:
    return ollama_counts({"prompt_eval_count": prompt, "eval_count": output})


READERS = [openai, anthropic, gemini, ollama]


@pytest.mark.parametrize("read", READERS)
def test_whole_counts_have_a_cost(read: Any) -> None:
    assert read() == Counts(Usage(100, 10), known=True)
    assert read().cost_micros(PRICE) == 120


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("value", BAD)
def test_an_output_that_cannot_be_counted_costs_nobody_knows_what(read: Any, value: Any) -> None:
    counts = read(output=value) if read is not openai else openai(completion=value)
    assert counts.usage == Usage(100, 0)
    assert counts.cost_micros(PRICE) is None


@pytest.mark.parametrize("read", [openai, gemini])
@pytest.mark.parametrize("value", BAD)
def test_an_input_that_cannot_be_counted_costs_nobody_knows_what(read: Any, value: Any) -> None:
    counts = read(prompt=value)
    assert counts.usage.input_tokens == 0
    assert counts.cost_micros(PRICE) is None


@pytest.mark.parametrize("read", READERS[:3])
@pytest.mark.parametrize("value", BAD[1:])
def test_a_cache_that_cannot_be_counted_costs_nobody_knows_what(read: Any, value: Any) -> None:
    assert read(cached=value).cost_micros(PRICE) is None


@pytest.mark.parametrize("read", [openai, gemini])
def test_more_from_the_cache_than_went_in_is_no_negative_cost(read: Any) -> None:
    counts = read(cached=101)
    assert counts.usage == Usage(100, 10, 100)
    assert counts.cost_micros(PRICE) is None


@pytest.mark.parametrize("usage", [None, [], "usage", 3, {}])
@pytest.mark.parametrize("read", [openai_counts, anthropic_counts, gemini_counts])
def test_no_usage_at_all_is_an_unknown_cost(read: Any, usage: Any) -> None:
    assert read(usage).cost_micros(PRICE) is None
    assert read(usage).usage == Usage()


def test_what_is_free_is_free_at_any_count() -> None:
    assert ollama_counts({}).cost_micros(FREE) == 0


def test_an_unknown_price_is_an_unknown_cost() -> None:
    assert openai().cost_micros(None) is None


@pytest.mark.parametrize(
    ("usage", "output"),
    [
        ({"candidatesTokenCount": 217, "thoughtsTokenCount": 128, "totalTokenCount": 445}, 345),
        ({"candidatesTokenCount": 345, "thoughtsTokenCount": 128, "totalTokenCount": 445}, 345),
        ({"thoughtsTokenCount": 128, "totalTokenCount": 228}, 128),
        ({"totalTokenCount": 100}, 0),
    ],
)
def test_gemini_leaves_out_what_is_nothing(usage: Any, output: int) -> None:
    counts = gemini_counts({"promptTokenCount": 100, **usage})
    assert counts == Counts(Usage(100, output), known=True)
