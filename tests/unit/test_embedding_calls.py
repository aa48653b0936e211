"""Which texts are sent together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.llm.catalog import Model
from factory.llm.embedding_calls import (
    ADDED_TOKENS,
    LIMITS,
    MODEL_LIMITS,
    MOST_TEXTS,
    UNKNOWN,
    CallLimit,
    calls_of,
)


def model(provider: str, name: str = "some-embedding") -> Model:
    return Model(provider, name, "embedding", None)


def sizes(of: Model, texts: list[str]) -> list[int]:
    return [len(call) for call in calls_of(of, texts)]


def test_gemini_takes_100_texts_a_call() -> None:
    assert sizes(model("gemini"), ["text"] * 250) == [100, 100, 50]
    assert sizes(model("gemini"), ["text"] * 100) == [100]


def test_openai_takes_300_000_tokens_a_call() -> None:
    full = "a" * (3000 - ADDED_TOKENS)
    assert sizes(model("openai"), [full] * 101) == [100, 1]


def test_tokens_are_upper_bounds_for_every_script() -> None:
    """A Chinese character may take three tokens, an emoji four."""
    assert sizes(model("openai"), ["汉" * 1000] * 100) == [99, 1]
    assert sizes(model("openai"), ["🜁" * 1000] * 100) == [74, 26]


def test_a_model_may_take_fewer_than_its_provider() -> None:
    assert sizes(model("vertex_ai", "gemini-embedding-001"), ["a", "b"]) == [1, 1]
    assert sizes(model("vertex_ai"), ["a", "b"]) == [2]


def test_of_a_provider_that_nobody_knows_little_is_asked() -> None:
    assert sizes(model("nobody"), ["text"] * 33) == [32, 1]


def test_a_text_beyond_the_limit_is_sent_alone() -> None:
    huge = "a" * 400_000
    assert sizes(model("openai"), ["a", huge, "b", "c"]) == [1, 1, 2]


def test_no_texts_are_no_calls() -> None:
    assert sizes(model("openai"), []) == []


@given(
    st.sampled_from([*LIMITS, "nobody", "vertex_ai/gemini-embedding-001"]),
    st.lists(st.text(max_size=20).map(lambda text: text * 500), max_size=50),
)
def test_every_text_is_in_one_call_and_no_call_is_above_a_limit(
    name: str, texts: list[str]
) -> None:
    provider, _, rest = name.partition("/")
    calls = list(calls_of(model(provider, rest or "some-embedding"), texts))
    assert [n for call in calls for n in call] == list(range(len(texts)))
    limit: CallLimit = MODEL_LIMITS.get(name) or LIMITS.get(name, UNKNOWN)
    for call in calls:
        assert 0 < len(call) <= min(limit.texts, MOST_TEXTS)
        tokens = sum(len(texts[n].encode()) for n in call)
        assert len(call) == 1 or limit.tokens is None or tokens <= limit.tokens


@pytest.mark.parametrize("provider", LIMITS)
def test_no_limit_is_senseless(provider: str) -> None:
    limit = LIMITS[provider]
    assert limit.texts >= 1
    assert limit.tokens is None or limit.tokens >= 8191
