"""What each keyword of JSON Schema 2020-12 takes, and where schemas lie within schemas.

jsonschema's own check does the same by a schema of schemas, which costs 100 µs a value, and for some values
(a list of a thousand objects as `type`) minutes. https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from factory.errors import InvalidInput

if TYPE_CHECKING:
    from factory.llm.schema_references import References

TYPES = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
IN_PLACE = ("not", "if", "then", "else")
"""One schema, applied to the same value as the schema that it is in."""
IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
IN_PLACE_MAPS = ("dependentSchemas",)
SINGLE = (
    "items",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
)
LISTS = ("prefixItems",)
MAPS = ("properties", "$defs", "definitions")
NOT_SUPPORTED = (
    "patternProperties",
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveAnchor",
    "$recursiveRef",
    "$vocabulary",
)
"""`patternProperties`: jsonschema matches those in four places, without a time limit. The others: references by
name, which providers do not follow; `$ref` does all that they can do."""
SLOW = ("unevaluatedItems", "unevaluatedProperties")


@dataclass(slots=True)
class Place:
    """A schema, and what is found in it and in the schemas that its references name."""

    root: Any
    patterns: list[str] = field(default_factory=list)
    slow_words: bool = False
    in_place: dict[int, list[Any]] = field(default_factory=dict)
    """By a schema's `id()`: the schemas that are applied to the same value."""


def check_words(found: Place, references: References) -> None:
    """Fills `found`. Raises InvalidInput for a keyword with a value that it does not take."""
    waiting = [found.root]
    seen: set[int] = set()
    while waiting:
        schema = waiting.pop()
        if isinstance(schema, bool):
            continue
        if not isinstance(schema, dict):
            raise InvalidInput(f"{schema!r:.50} stands where a schema is wanted")
        if id(schema) in seen:
            continue
        seen.add(id(schema))
        _check(schema, is_root=schema is found.root)
        same = list(_in_place(schema))
        if "$ref" in schema:
            same.append(references.target(schema["$ref"]))
        found.in_place[id(schema)] = same
        _note(found, schema)
        waiting += same
        waiting += _elsewhere(schema)


def _note(found: Place, schema: Mapping[str, Any]) -> None:
    if "pattern" in schema:
        found.patterns.append(schema["pattern"])
    if schema.get("uniqueItems") is True or any(word in schema for word in SLOW):
        found.slow_words = True


def _check(schema: Mapping[str, Any], *, is_root: bool) -> None:
    for word, value in schema.items():
        if word in NOT_SUPPORTED:
            raise InvalidInput(f"{word} is not supported")
        if word == "$id" and not is_root:
            raise InvalidInput("$id is supported at the top only")
        wanted = VALUES.get(word)
        if wanted and not wanted.fits(value):
            raise InvalidInput(f"{word} must be {wanted.words}, and is {value!r:.50}")


def _in_place(schema: Mapping[str, Any]) -> Iterator[Any]:
    for word in IN_PLACE:
        if word in schema:
            yield schema[word]
    for word in IN_PLACE_LISTS:
        yield from schema.get(word, ())
    for word in IN_PLACE_MAPS:
        yield from schema.get(word, {}).values()


def _elsewhere(schema: Mapping[str, Any]) -> Iterator[Any]:
    for word in SINGLE:
        if word in schema:
            yield schema[word]
    for word in LISTS:
        yield from schema.get(word, ())
    for word in MAPS:
        yield from schema.get(word, {}).values()


@dataclass(frozen=True, slots=True)
class Wanted:
    words: str
    fits: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == value // 1


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(one, str) for one in value)
        and len(set(value)) == len(value)
    )


def _is_type(value: Any) -> bool:
    if isinstance(value, str):
        return value in TYPES
    return _are_names(value) and bool(value) and TYPES.issuperset(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_schema_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _are_dependencies(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_are_names, value.values()))


VALUES: Mapping[str, Wanted] = {
    "type": Wanted(f"one or several of {', '.join(sorted(TYPES))}", _is_type),
    "enum": Wanted("a list", _is_list),
    "examples": Wanted("a list", _is_list),
    "required": Wanted("a list of different texts", _are_names),
    "dependentRequired": Wanted("a mapping of names to lists of names", _are_dependencies),
    "multipleOf": Wanted("a number above 0", lambda value: _is_number(value) and value > 0),
    **dict.fromkeys(
        ("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"),
        Wanted("a number", _is_number),
    ),
    **dict.fromkeys(
        (
            "maxLength",
            "minLength",
            "maxItems",
            "minItems",
            "maxProperties",
            "minProperties",
            "maxContains",
            "minContains",
        ),
        Wanted("a whole number from 0 on", _is_count),
    ),
    **dict.fromkeys(
        ("uniqueItems", "deprecated", "readOnly", "writeOnly"), Wanted("true or false", _is_truth)
    ),
    **dict.fromkeys(
        (
            "$ref",
            "$id",
            "$schema",
            "$comment",
            "title",
            "description",
            "format",
            "pattern",
            "contentEncoding",
            "contentMediaType",
        ),
        Wanted("a text", _is_text),
    ),
    **dict.fromkeys((*IN_PLACE_LISTS, *LISTS), Wanted("a list of schemas", _is_schema_list)),
    **dict.fromkeys((*IN_PLACE_MAPS, *MAPS), Wanted("a mapping of names to schemas", _is_mapping)),
}
