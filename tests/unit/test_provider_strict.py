"""Strict structured output is asked for only where it is documented to be taken."""

from __future__ import annotations

from typing import Any

import pytest

from factory.llm.strict import anthropic_takes, is_strict

TEXT = {"type": "string"}


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "schema",
    [
        closed(a=TEXT),
        closed(a={"type": ["string", "null"], "description": "x"}),
        closed(a={"anyOf": [TEXT, closed(b={"type": "integer", "minimum": 1})]}),
        closed(a={"type": "array", "items": closed(b=TEXT), "minItems": 1}),
        closed(a={"enum": ["x", "y"]}, default=TEXT, oneOf={"const": 1}),
        {**closed(a={"$ref": "#/$defs/size"}), "$defs": {"size": closed(next={"$ref": "#"})}},
        closed(a={"type": "string", "format": "date-time", "pattern": "^[a-z]+$"}),
    ],
)
def test_openai_takes_its_own_part_of_json_schema(schema: Any) -> None:
    assert is_strict(schema)


NOT_STRICT = [
    {},
    True,
    {"type": "array", "items": closed(a=TEXT)},
    {"anyOf": [closed(a=TEXT)]},
    {**closed(a=TEXT), "anyOf": [closed(a=TEXT)]},
    {"type": "object"},
    {"type": "object", "additionalProperties": TEXT},
    {**closed(a=TEXT), "required": []},
    {**closed(a=TEXT), "additionalProperties": True},
    closed(a={"oneOf": [TEXT, {"type": "integer"}]}),
    {**closed(a=TEXT), "allOf": [{"required": ["a"]}]},
    closed(a={"type": "string", "default": "x"}),
    closed(a={"type": "string", "minLength": 1}),
    closed(a={"type": "string", "format": "uri"}),
    closed(a={"type": "string", "pattern": "^(?!x)"}),
    closed(a={"type": "array", "items": TEXT, "uniqueItems": True}),
    closed(a={"type": "array", "prefixItems": [TEXT]}),
    closed(a={"not": TEXT}),
    closed(a={}),
    closed(a=True),
    closed(a={"type": "object"}),
    closed(a={"type": ["object", "null"]}),
    closed(a={"$ref": "https://example.com/schema.json"}),
    {**closed(a=TEXT), "$defs": {"open": {"type": "object"}}},
    {**closed(a=TEXT), "if": {}, "then": {}},
    closed(a={"type": "string", "enum": [str(number) for number in range(1001)]}),
    {"type": "object", "properties": 3},
    {"type": "object", "required": 3, "additionalProperties": False},
]


@pytest.mark.parametrize("schema", NOT_STRICT)
def test_openai_is_not_asked_to_be_strict_about_anything_else(schema: Any) -> None:
    assert not is_strict(schema)


def test_openai_is_not_asked_to_be_strict_beyond_ten_levels() -> None:
    def deep(levels: int) -> Any:
        return closed(a=deep(levels - 1)) if levels else TEXT

    assert is_strict(deep(9))
    assert not is_strict(deep(10))


@pytest.mark.parametrize(
    ("schema", "taken"),
    [
        (closed(a=TEXT), True),
        ({"type": "object", "properties": {"a": TEXT}}, True),
        (closed(a={"type": "integer", "minimum": 3}), True),
        (closed(a={"oneOf": [TEXT, {"type": "null"}]}), True),
        ({**closed(a={"$ref": "#/$defs/size"}), "$defs": {"size": TEXT}}, True),
        ({"type": "array", "items": TEXT}, False),
        ({"type": "object"}, False),
        ({"type": "object", "additionalProperties": TEXT}, False),
        ({**closed(a=TEXT), "additionalProperties": True}, False),
        (closed(a={"type": "object", "additionalProperties": {"type": "integer"}}), False),
        ({**closed(a=TEXT), "patternProperties": {"^x": TEXT}}, False),
        (
            {**closed(a={"$ref": "#/$defs/a"}), "$defs": {"a": closed(b={"$ref": "#/$defs/a"})}},
            False,
        ),
        (closed(a={"$ref": "#"}), False),
        ({}, False),
    ],
)
def test_anthropic_is_not_asked_to_close_what_is_to_be_open(schema: Any, taken: bool) -> None:
    assert anthropic_takes(schema) is taken
