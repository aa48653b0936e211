from __future__ import annotations

import time
from typing import Any

import pytest

from factory.errors import InvalidOutput, SchemaUnusable
from factory.llm.answer import PATTERNS_S, parse_answer
from factory.llm.strict import is_strict

SIZE = {
    "type": "object",
    "properties": {"size": {"type": "integer"}},
    "required": ["size"],
    "additionalProperties": False,
}


def test_a_fitting_answer_is_parsed() -> None:
    assert parse_answer('{"size": 3}', SIZE) == {"size": 3}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "not JSON"),
        ("Sure! {}", "not JSON"),
        ("{}", "'size' is a required property"),
        ('{"size": "3"}', "$.size"),
        ('{"size": 3, "more": 1}', "more"),
    ],
)
def test_an_answer_that_does_not_fit_says_where(text: str, place: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        parse_answer(text, SIZE)
    assert place in caught.value.message


def test_a_reference_is_never_fetched() -> None:
    with pytest.raises(InvalidOutput, match="cannot be applied"):
        parse_answer("{}", {"$ref": "http://127.0.0.1:9/schema.json"})


def test_a_reference_within_the_schema_is_followed() -> None:
    schema = {"$ref": "#/$defs/size", "$defs": {"size": SIZE}}
    assert parse_answer('{"size": 3}', schema) == {"size": 3}


def test_a_schema_that_never_ends_is_given_up() -> None:
    with pytest.raises(InvalidOutput, match="cannot be applied"):
        parse_answer("{}", {"$ref": "#"})


def test_a_pattern_is_matched() -> None:
    schema = {"type": "string", "pattern": "^[a-z]+$"}
    assert parse_answer('"abc"', schema) == "abc"
    with pytest.raises(InvalidOutput, match="does not match"):
        parse_answer('"ABC"', schema)


def test_patterns_share_their_time_however_many_texts_there_are() -> None:
    """Each of these texts alone takes longer than the universe."""
    texts = ",".join([f'"{"a" * 40}!"'] * 1_000)
    started = time.process_time()
    with pytest.raises(SchemaUnusable, match="take too long"):
        parse_answer(f"[{texts}]", {"items": {"pattern": "^(a|a)*$"}})
    assert time.process_time() - started < 10 * PATTERNS_S


def test_a_pattern_that_is_none_is_reported() -> None:
    with pytest.raises(InvalidOutput, match="is not a pattern"):
        parse_answer('"a"', {"pattern": "("})


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (SIZE, True),
        ({**SIZE, "additionalProperties": True}, False),
        ({**SIZE, "required": []}, False),
        ({"type": "object", "properties": {"in": {"type": "object"}}}, False),
        ({**SIZE, "$defs": {"open": {"type": "object"}}}, False),
        ({"type": "array", "items": SIZE}, False),
    ],
)
def test_strict_mode_is_asked_for_only_where_it_is_taken(schema: Any, strict: bool) -> None:
    assert is_strict(schema) is strict


@pytest.mark.parametrize(
    "text",
    ['```json\n{"size": 3}\n```', '\n```\n{\n"size": 3}\n  ```\n', '{"size": 3, "a": "x\ny"}'],
)
def test_json_between_fences_or_with_line_breaks_is_json(text: str) -> None:
    schema = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}
    assert parse_answer(text, schema)["size"] == 3


@pytest.mark.parametrize("text", ["```json\n{\n```", "Here: ```\n{}\n```", "```"])
def test_anything_else_around_json_is_not(text: str) -> None:
    with pytest.raises(InvalidOutput, match="not JSON"):
        parse_answer(text, {"type": "object"})
