"""Schemas at the door: what people use passes, what would hold a process is refused, both at once."""

from __future__ import annotations

import time
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import BaseModel, Field

from factory.errors import InvalidInput
from factory.llm.schema import MOST_BYTES, MOST_VALUES, Schema, check_schema

AT_ONCE_S = 20.0
"""Without its bounds it would be minutes; beside other work a second may be ten."""
"""Generous: the slowest takes a twentieth. Unbounded, most of these never end."""


class Line(BaseModel):
    sku: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{4,8}$")]
    amount: Decimal
    tags: set[str] = set()


class Order(BaseModel):
    id: UUID
    placed: datetime
    due: date | None = None
    lines: list[Line]
    state: Literal["new", "paid"] = "new"
    notes: dict[str, str] = {}


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Number(BaseModel):
    kind: Literal["number"]
    value: float


class Sum(BaseModel):
    kind: Literal["sum"]
    left: Number | Sum | Product
    right: Number | Sum | Product


class Product(BaseModel):
    kind: Literal["product"]
    factors: list[Number | Sum | Product]


ADDRESSES = (
    r"(([0-9a-fA-F]{1,4}:){7,7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,7}:|([0-9a-fA-F]{1,4}:){1,6}:"
    r"[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,5}(:[0-9a-fA-F]{1,4}){1,2})"
)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        *(kind.model_json_schema() for kind in (Order, Tree, Sum, ChatCompletion, Response)),
        {"$id": "https://example.com/a", "$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": {"type": "string"}}},
        {"properties": {"$id": {"type": "string"}, "pattern": True, "patternProperties": {}}},
        {"const": {"$ref": "http://elsewhere", "type": 5}, "x-own": {"type": 5}},
        {"type": ["object", "null"], "if": {"required": ["a"]}, "then": {"minProperties": 2.0}},
        {"type": "string", "pattern": ADDRESSES},
        {"prefixItems": [{"enum": [1, "a", None]}], "items": False, "unevaluatedItems": False},
        {"properties": {f"p{n}": {"type": "string"} for n in range(2_000)}},
    ],
)
def test_schemas_in_use_are_accepted(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    check_schema(schema)


def doubling(levels: int) -> Schema:
    defs: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": {"type": "object"}}}


def mutual(types: int) -> Schema:
    names = [f"t{n}" for n in range(types)]
    properties = {name: {"$ref": f"#/$defs/{name}"} for name in names}
    defs = {name: {"type": "object", "properties": properties} for name in names}
    return {"$ref": "#/$defs/t0", "$defs": defs}


def nested(levels: int) -> Schema:
    schema: Schema = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def namesakes(count: int) -> Schema:
    """So many definitions of one name, and so many references to it: LiteLLM looks for the name alone."""
    return {
        "anyOf": [
            {"$defs": {"k": {}}, "$ref": f"#/anyOf/{(n + 1) % count}/$defs/k"} for n in range(count)
        ]
    }


OBJECTS = [{"n": n} for n in range(6_000)]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (doubling(18), "references, each followed"),
        (doubling(30), "references, each followed"),
        (mutual(9), "references, each followed"),
        (namesakes(2_700), "references, each followed"),
        (namesakes(80), "references, each followed"),
        (nested(70), "nested deeper than 64 levels"),
        (nested(100_000), "nested deeper than 64 levels"),
        ({"const": "x" * MOST_BYTES}, "more than 262,144 bytes"),
        ({"const": "ü" * (MOST_BYTES // 2)}, "more than 262,144 bytes"),
        ({"enum": [0] * MOST_VALUES}, "more than 20,000 values"),
        (
            {
                "$ref": "#/$defs/c0",
                "$defs": {f"c{n}": {"$ref": f"#/$defs/c{n + 1}"} for n in range(3_000)}
                | {"c3000": {}},
            },
            "with its references replaced it is nested deeper",
        ),
        (
            {
                "properties": {f"p{n}": {"$ref": "#/$defs/a"} for n in range(2_000)},
                "$defs": {"a": {"enum": ["x" * 50] * 2_000}},
            },
            "with its references replaced it has more than 1,000,000 bytes",
        ),
        ({"type": OBJECTS}, "type must be"),
        ({"required": OBJECTS}, "required must be"),
        ({"dependentRequired": {"a": OBJECTS}}, "dependentRequired must be"),
        ({"items": OBJECTS}, "items stands|stands where a schema is wanted"),
        ({"uniqueItems": OBJECTS}, "uniqueItems must be"),
        ({"$ref": "#"}, "leads back to itself"),
        ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "leads back to itself"),
        (
            {
                "$ref": "#/$defs/a",
                "$defs": {"a": {"if": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}},
            },
            "leads back to itself",
        ),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "does not begin with #/"),
        ({"$ref": "#name"}, "does not begin with #/"),
        ({"$ref": "#/$defs/none"}, "names nothing"),
        ({"items": {"$ref": "#/items/0"}}, "names nothing"),
        ({"$ref": "#/x", "x": {"type": 5}}, "type must be"),
        ({"$ref": "#/enum/0", "enum": [{"allOf": 5}]}, "allOf must be"),
        ({"$dynamicRef": "#a"}, r"\$dynamicRef is not supported"),
        ({"items": {"$anchor": "a"}}, r"\$anchor is not supported"),
        ({"items": {"$id": "https://example.com"}}, r"\$id is supported at the top only"),
        ({"allOf": [{"items": {"patternProperties": {}}}]}, "patternProperties is not supported"),
        ({"type": "objekt"}, "type must be one or several of"),
        ({"properties": 3}, "properties must be"),
        ({"properties": {"a": 3}}, "stands where a schema is wanted"),
        ({"allOf": []}, "allOf must be"),
        ({"minimum": True}, "minimum must be"),
        ({"minLength": -1}, "minLength must be"),
        ({"multipleOf": 0}, "multipleOf must be"),
        ({"pattern": "("}, "is not a pattern"),
        ({"pattern": "(" * 1_000}, "is not a pattern"),
        ({"pattern": "a" * 3_000}, "longer than 2,000 characters"),
        (
            {"anyOf": [{"pattern": f"{n}" * 500} for n in range(100)]},
            "patterns have more than 20,000 characters",
        ),
        ({1: {}}, "1 is not a text"),
    ],
)
def test_what_cannot_be_applied_in_time_is_refused_at_once(schema: Any, reason: str) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidInput, match=reason) as caught:
        check_schema(schema)
    assert caught.value.param == "params.json_schema"
    assert time.monotonic() - started < AT_ONCE_S


def test_a_pattern_that_would_take_all_memory_is_not_compiled_here() -> None:
    found = check_schema({"pattern": "(?:(?:a{1000}){1000}){1000}"})
    assert found.patterns == ("(?:(?:a{1000}){1000}){1000}",)


def test_what_a_check_may_cost_is_measured() -> None:
    assert check_schema(Tree.model_json_schema()).recursive
    assert not check_schema(ChatCompletion.model_json_schema()).recursive
    assert check_schema({"items": {"uniqueItems": True}}).slow_words
    assert check_schema(doubling(8)).values > 256
    assert check_schema(mutual(4)).bytes > 1_000


def test_a_file_whose_parts_repeat_each_other_is_refused_at_once() -> None:
    """YAML's aliases: a few lines that are gigabytes when they are written out."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(40):
        schema = {"anyOf": [schema] * 9}
    started = time.monotonic()
    with pytest.raises(InvalidInput, match="values"):
        check_schema(schema)
    assert time.monotonic() - started < AT_ONCE_S


@pytest.mark.parametrize("number", [2**63 - 1, 10**20, -(10**25), 10**308, 1e300])
def test_numbers_of_any_size_are_accepted(number: float) -> None:
    """1e20 comes back from Postgres as an integer beyond 64 bits."""
    check_schema({"type": "number", "maximum": number, "enum": [number], "default": number})
