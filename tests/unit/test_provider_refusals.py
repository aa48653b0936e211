"""Refusals and answers that were cut: what each provider says, and what becomes of the job."""

from __future__ import annotations

from typing import Any

import pytest

from factory.errors import OutputCut, OutputRefused
from tests.integration.llm import samples
from tests.unit.test_provider_reading import (
    OBJECT,
    candidate,
    fit,
    message,
    read,
    without_candidates,
)

REFUSALS = [
    ("openai", message(content=None, refusal="I cannot help."), "I cannot help."),
    ("openai", message(content=[{"type": "refusal", "refusal": "No."}]), "No."),
    ("openai", samples.openai(text="", finish="content_filter"), "content_filter"),
    ("anthropic", samples.anthropic(text="I can", stop="refusal"), "refusal"),
    ("anthropic", samples.anthropic(stop="refusal") | {"content": []}, "refusal"),
    (
        "anthropic",
        samples.anthropic(stop="refusal") | {"stop_details": {"explanation": "It is unsafe."}},
        "It is unsafe.",
    ),
    ("gemini", samples.gemini(finish="SAFETY"), "SAFETY"),
    ("gemini", samples.gemini(finish="RECITATION"), "RECITATION"),
    ("gemini", candidate(finishReason="PROHIBITED_CONTENT", content={}), "PROHIBITED_CONTENT"),
    ("gemini", candidate(finishReason="OTHER", finishMessage="Why", content=None), "Why"),
    ("gemini", without_candidates({"blockReason": "SAFETY"}), "SAFETY"),
    (
        "gemini",
        without_candidates({"blockReason": "OTHER", "blockReasonMessage": "no"}),
        "OTHER: no",
    ),
]


@pytest.mark.parametrize(("provider", "answer", "why"), REFUSALS)
def test_a_refusal_is_an_answer_that_says_why(provider: str, answer: Any, why: str) -> None:
    completion = read(provider, answer)
    assert completion.refusal == why
    assert (completion.cost_micros or 0) > 0


@pytest.mark.parametrize(("provider", "answer", "why"), REFUSALS)
def test_a_refusal_to_answer_in_json_is_final(provider: str, answer: Any, why: str) -> None:
    with pytest.raises(OutputRefused) as caught:
        fit(read(provider, answer), OBJECT)
    assert not caught.value.retryable
    assert why in caught.value.message
    assert caught.value.completion.cost_micros > 0


CUTS = [
    ("openai", samples.openai('{"a": ', finish="length")),
    ("anthropic", samples.anthropic('{"a": ', stop="max_tokens")),
    ("anthropic", samples.anthropic('{"a": ', stop="model_context_window_exceeded")),
    ("gemini", samples.gemini('{"a": ', finish="MAX_TOKENS")),
    ("gemini", candidate(finishReason="MAX_TOKENS", content={"role": "model"})),
    ("ollama", samples.ollama('{"a": ', done="length")),
]


@pytest.mark.parametrize(("provider", "answer"), CUTS)
def test_json_that_was_cut_is_final(provider: str, answer: Any) -> None:
    with pytest.raises(OutputCut) as caught:
        fit(read(provider, answer), OBJECT)
    assert not caught.value.retryable
    assert caught.value.completion.finish_reason == "length"


@pytest.mark.parametrize(
    ("provider", "answer"),
    [
        ("openai", samples.openai("{}", finish="length")),
        ("anthropic", samples.anthropic("{}", stop="refusal")),
    ],
)
def test_json_that_is_whole_is_taken_whatever_the_reason(provider: str, answer: Any) -> None:
    assert fit(read(provider, answer), OBJECT).parsed == {}
