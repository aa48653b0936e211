"""Which schemas providers take for *strict* structured output, where the grammar of the answer is enforced.

Only a part of JSON Schema: a schema outside it is refused with a 400, so it is sent without strictness and the
answer is checked here, as every answer is. What is not known to be taken is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
PLACES = ("properties", "$defs", "definitions")
"""Keywords whose values are schemas by name."""
OPENAI_WORDS = frozenset(
    [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "$ref",
        "$defs",
        "definitions",
        "description",
        "title",
        "$schema",
        "$id",
        "pattern",
        "format",
        "multipleOf",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minItems",
        "maxItems",
    ]
)
OPENAI_FORMATS = frozenset(
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"]
)
OPENAI_MOST_PROPERTIES = 5000
OPENAI_MOST_DEPTH = 10
OPENAI_MOST_ENUM = 1000
OPENAI_MOST_CHARS = 120_000
"""https://platform.openai.com/docs/guides/structured-outputs#supported-schemas"""
LOOKAROUND = re.compile(r"\(\?[=!<]|\\[1-9]|\\[bB]")
ANTHROPIC_UNKNOWN = frozenset({"patternProperties", "unevaluatedProperties", "propertyNames"})


def is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes the schema: its words only, every object closed, every property required."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object" or "anyOf" in schema:
        return False
    try:
        size = _Size()
        return all(_openai_takes(part, depth, size) for part, depth in _parts(schema, 1))
    except (TypeError, RecursionError):  # a schema that is none
        return False


class _Size:
    """What OpenAI bounds over the whole schema."""

    def __init__(self) -> None:
        self.properties = self.enums = self.characters = 0

    def fits(self) -> bool:
        return (
            self.properties <= OPENAI_MOST_PROPERTIES
            and self.enums <= OPENAI_MOST_ENUM
            and self.characters <= OPENAI_MOST_CHARS
        )


def _openai_takes(part: Any, depth: int, size: _Size) -> bool:
    if not isinstance(part, Mapping) or not OPENAI_WORDS.issuperset(part):
        return False
    if not part.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
        return False  # it would allow anything
    properties, values = part.get("properties", {}), part.get("enum", ())
    if _is_object(part):
        closed = part.get("additionalProperties") is False
        if not closed or set(properties) != set(part.get("required", ())):
            return False
    if "format" in part and part["format"] not in OPENAI_FORMATS:
        return False
    if not part.get("$ref", "#").startswith("#") or LOOKAROUND.search(part.get("pattern", "")):
        return False
    size.properties += len(properties)
    size.enums += len(values)
    size.characters += sum(map(len, properties)) + sum(len(str(value)) for value in values)
    return depth <= OPENAI_MOST_DEPTH and size.fits()


def anthropic_takes(schema: Any) -> bool:
    """Whether Anthropic's structured output means what the schema means, as LiteLLM sends it.

    LiteLLM takes out constraints, which loosens a schema and does no harm, inlines references, and closes every
    object: one that is to be open could then only be answered empty. Recursion is not taken.
    """
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        return False
    try:
        parts = [part for part, _ in _parts(schema, 1)]
        return all(map(_anthropic_takes, parts)) and not _is_recursive(schema)
    except (TypeError, RecursionError):
        return False


def _anthropic_takes(part: Any) -> bool:
    if not isinstance(part, Mapping) or ANTHROPIC_UNKNOWN.intersection(part):
        return False
    if not _is_object(part):
        return not isinstance(part.get("$ref"), str) or part["$ref"].startswith("#/")
    return bool(part.get("properties")) and part.get("additionalProperties") in (None, False)


def _is_object(part: Schema) -> bool:
    kind = part.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in part


def _parts(schema: Any, depth: int) -> Iterator[tuple[Any, int]]:
    """The schema and every schema within, with its level of nesting; references are not followed."""
    yield schema, depth
    if not isinstance(schema, Mapping):
        return
    for word, value in schema.items():
        if word in PLACES and isinstance(value, Mapping):
            deeper = depth + 1 if word == "properties" else 1
            for part in value.values():
                yield from _parts(part, deeper)
        elif word in ("anyOf", "allOf", "oneOf", "prefixItems") and isinstance(value, list):
            for part in value:
                yield from _parts(part, depth)
        elif word in ("items", "not", "if", "then", "else", "contains"):
            yield from _parts(value, depth + 1 if word == "items" else depth)


def _is_recursive(schema: Schema) -> bool:
    """Whether a reference leads to a schema that holds it, at however many steps."""
    homes = {
        f"#/{word}/{name}": part
        for word in ("$defs", "definitions")
        for name, part in schema.get(word, {}).items()
    }
    leads = {
        name: {
            inner["$ref"]
            for inner, _ in _parts(part, 1)
            if isinstance(inner, Mapping) and "$ref" in inner
        }
        for name, part in homes.items()
    }
    named = {
        part["$ref"]
        for part, _ in _parts(schema, 1)
        if isinstance(part, Mapping) and "$ref" in part
    }
    return not named <= homes.keys() or _has_circle(leads)


def _has_circle(leads: dict[str, set[str]]) -> bool:
    """Takes out who leads nowhere until nobody does."""
    left = dict(leads)
    while ends := [name for name, others in left.items() if not others & left.keys()]:
        for name in ends:
            del left[name]
    return bool(left)
