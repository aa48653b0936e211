"""Lanes and the patterns that choose them."""

from __future__ import annotations

import pytest

from factory.domain.lanes import (
    MESSAGE_JOBS,
    PROVIDERS,
    UNUSUAL,
    Priority,
    all_lanes,
    lane_name,
    parse_lanes,
)
from factory.errors import InvalidInput


def test_a_provider_without_lanes_of_its_own_shares_other() -> None:
    assert lane_name("openai", Priority.HIGH) == "openai.high"
    assert lane_name("groq", Priority.BULK) == "other.bulk"


def test_who_serves_other_serves_the_providers_that_came_later() -> None:
    served = parse_lanes("other.high")
    assert served[-1] == "other.high"
    assert set(served) == {"other.high", *(f"{name}.high" for name in UNUSUAL)}
    assert "mistral" in UNUSUAL
    assert not UNUSUAL & {"openai", "anthropic", "gemini", "ollama", "local", "other"}


def test_there_is_a_lane_for_each_provider_and_priority() -> None:
    assert len(set(all_lanes())) == len(PROVIDERS) * len(Priority)
    assert all_lanes()[:2] == ("openai.high", "openai.normal")


def test_every_priority_has_a_message_size() -> None:
    assert set(MESSAGE_JOBS) == set(Priority)
    assert MESSAGE_JOBS[Priority.HIGH] == 1


@pytest.mark.parametrize(
    ("patterns", "lanes"),
    [
        ("openai.high", ["openai.high"]),
        ("gemini", ["gemini.high", "gemini.normal", "gemini.low", "gemini.bulk"]),
        ("openai.high, webhook.normal", ["openai.high", "webhook.normal"]),
        ("*.high", [f"{provider}.high" for provider in PROVIDERS]),
        ("openai.high,openai.*", [f"openai.{priority}" for priority in Priority]),
    ],
)
def test_patterns_choose_lanes_each_once(patterns: str, lanes: list[str]) -> None:
    assert list(parse_lanes(patterns)) == lanes


@pytest.mark.parametrize("everything", ["all", "*", "*.*"])
def test_all_lanes_can_be_chosen(everything: str) -> None:
    assert parse_lanes(everything) == all_lanes()


@pytest.mark.parametrize("pattern", ["", "opnai", "openai.urgent", "openai.high.x", "openai,,"])
def test_a_pattern_that_matches_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_lanes(pattern)
    assert caught.value.param == "lanes"
