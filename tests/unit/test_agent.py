"""Agent specs: what a file may say."""

from __future__ import annotations

from typing import Any

import pytest

from factory.domain.agent import AgentSpec, parse_spec
from factory.errors import InvalidInput

LEAST = {"name": "writer", "model": "openai/gpt-4o-mini"}


def test_a_spec_needs_a_name_and_a_model() -> None:
    assert parse_spec(LEAST) == AgentSpec("writer", "openai/gpt-4o-mini")


def test_a_spec_is_read_whole() -> None:
    spec = parse_spec(
        {
            **LEAST,
            "description": "Writes.",
            "system": "Be brief.",
            "params": {"temperature": 0.2},
            "fallbacks": ["anthropic/claude-sonnet-4-5"],
        }
    )
    assert (spec.description, spec.system) == ("Writes.", "Be brief.")
    assert spec.params == {"temperature": 0.2}
    assert spec.fallbacks == ("anthropic/claude-sonnet-4-5",)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (None, "agent"),
        (["writer"], "agent"),
        ({**LEAST, "tool": 1}, "tool"),
        ({**LEAST, "name": "Big Writer"}, "name"),
        ({**LEAST, "name": "-x"}, "name"),
        ({**LEAST, "name": "x" * 65}, "name"),
        ({**LEAST, "name": 7}, "name"),
        ({"name": "writer"}, "model"),
        ({**LEAST, "model": ""}, "model"),
        ({**LEAST, "system": 7}, "system"),
        ({**LEAST, "params": ["temperature"]}, "params"),
        ({**LEAST, "fallbacks": "openai/gpt-4o"}, "fallbacks"),
        ({**LEAST, "fallbacks": [7]}, "fallbacks"),
    ],
)
def test_what_is_no_spec_is_refused_by_its_field(given: Any, param: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_spec(given)
    assert caught.value.param == param
