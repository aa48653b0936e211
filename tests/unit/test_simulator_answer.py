"""Answers, tokens and made-up JSON are functions of the request and the seed."""

from __future__ import annotations

import math
from typing import Any

import jsonschema
import orjson
import pytest

from factory.simulator.answer import Question, answer_question, count_tokens, join_text, split_text
from factory.simulator.schema import make_value
from factory.simulator.vector import embed_text

DIGEST = bytes(range(16))

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 20, "maxLength": 24},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name", "children", "next"],
            "additionalProperties": False,
        }
    },
}

SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a", "b"]},
    {"type": "integer", "minimum": 3, "maximum": 3},
    {"type": "integer", "exclusiveMinimum": -5, "exclusiveMaximum": -3},
    {"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 13},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
    {"type": "number", "maximum": -1000},
    {"type": "number", "multipleOf": 0.5, "minimum": 1.2, "maximum": 1.8},
    {"type": ["null", "string"], "maxLength": 3},
    {"type": "array", "items": {"enum": ["x", "y", 3]}, "minItems": 4, "maxItems": 5},
    {"type": "array", "maxItems": 1, "items": {"type": "null"}},
    {"type": "array", "prefixItems": [{"const": 1}, {"type": "string"}], "items": False},
    {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True},
    {"oneOf": [{"type": "string", "format": "date"}, {"type": "integer"}]},
    {
        "allOf": [
            {"properties": {"a": {"const": 1}}, "required": ["a"]},
            {"properties": {"b": {"type": "string", "format": "uuid"}}, "required": ["b"]},
        ]
    },
    {"type": "object", "additionalProperties": {"type": "integer"}, "required": ["n"]},
    TREE,
]


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("seed", [b"", b"\x07", DIGEST])
def test_made_up_json_satisfies_its_schema(schema: dict[str, Any], seed: bytes):
    jsonschema.validate(make_value(schema, seed), schema)


def test_geminis_capital_type_names_are_understood():
    schema = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}, "required": ["n"]}
    assert isinstance(make_value(schema, DIGEST)["n"], int)


def test_the_same_digest_gives_the_same_answer_and_another_gives_another():
    question = Question("m", "What is the time?")
    first = answer_question(question, DIGEST)
    assert answer_question(question, DIGEST) == first
    assert answer_question(question, DIGEST[::-1]).text != first.text


def test_an_answer_says_that_no_model_wrote_it():
    assert "not a model" in answer_question(Question("m", "Hello"), DIGEST).text


def test_an_answer_ends_at_max_tokens():
    answer = answer_question(Question("m", "Hello", max_tokens=3), DIGEST)
    assert answer.truncated
    assert answer.output_tokens == 3


def test_an_answer_to_a_schema_is_json():
    answer = answer_question(Question("m", "Hello", schema={"const": {"a": [1]}}), DIGEST)
    assert orjson.loads(answer.text) == {"a": [1]}


def test_only_long_prompts_have_cached_tokens():
    short = answer_question(Question("m", "x" * 4092), DIGEST)
    long = answer_question(Question("m", "x" * 4096), DIGEST)
    assert (short.cached_tokens, long.cached_tokens) == (0, 512)


def test_text_is_found_in_every_providers_nesting():
    openai = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    gemini = {"parts": [{"text": "b"}]}
    assert join_text("s", None, openai, gemini) == "s\na\nb"


def test_split_text_loses_nothing():
    assert "".join(split_text("abcdefghijklmnopqrstuvwxyz")) == "abcdefghijklmnopqrstuvwxyz"
    assert split_text("") == []


def test_four_characters_are_a_token():
    assert [count_tokens(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]


def test_texts_that_share_words_lie_closer_together():
    query, near, far = (
        embed_text(text, 256)
        for text in ("the price of tea", "tea has a price", "rockets fly upward")
    )
    assert math.isclose(math.hypot(*query), 1)
    assert _dot(query, near) > _dot(query, far)


def _dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
