"""Which JSON schemas are accepted: those that can be applied, translated and sent in bounded time.

A schema comes from a caller, and jsonschema, `regex` and LiteLLM take exponential time for some schemas of a kilobyte.
So each schema is measured first, in time linear in its size: by the gateway, and again by the worker, because an older
version may have accepted it. The bounds and their reasons are here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from factory.document import encode_json, read_json
from factory.errors import InvalidInput
from factory.llm.schema_patterns import check_patterns
from factory.llm.schema_references import Bounds, References, json_bytes, refuse_endless
from factory.llm.schema_words import Place, check_words

MOST_BYTES = 256 * 1024
"""OpenAI takes 120,000 characters of names and values; the largest schemas in use have some 200 KB."""
MOST_VALUES = 20_000
"""The most values: objects, lists, texts, numbers. OpenAI takes 5,000 properties in all."""
DEEPEST = 64
"""The most levels of objects and lists; a property takes two. OpenAI takes 10 levels of properties."""
EXPANDED = Bounds(references=5_000, bytes=1_000_000, depth=120)
"""The size with every `$ref` replaced by what it names, except recursive ones: LiteLLM expands schemas so for
Anthropic and older Gemini, and the check of an answer walks the same tree. Schemas in use expand to less than 1 MB.
"""

REMEMBERED_BYTES = 16 * 1024
PARAM = "params.json_schema"
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """What working with an accepted schema may cost."""

    bytes: int
    """Its size as JSON, with every reference replaced."""
    values: int
    """Its values, with every reference replaced."""
    definitions: int
    recursive: bool
    """It is recursive: how deep a check goes depends on the answer."""
    slow_words: bool
    """It has keywords whose check takes more than linear time in schema and answer."""
    patterns: tuple[str, ...]


def check_schema(schema: Schema) -> Measured:
    """Raises InvalidInput unless `schema` is a JSON Schema (2020-12) within the bounds.

    Many jobs share a schema, so results are cached.
    """
    try:
        _bound(schema)
        written = encode_json(schema)
        return _recall(written) if len(written) <= REMEMBERED_BYTES else _measure(schema)
    except InvalidInput as error:
        raise InvalidInput(f"not usable as a JSON Schema: {error.message}", param=PARAM) from None
    except (TypeError, ValueError):  # a lone surrogate raises ValueError too
        raise InvalidInput("not usable as a JSON Schema: it is not JSON", param=PARAM) from None


@lru_cache(maxsize=256)
def _recall(written: bytes) -> Measured:
    return _measure(read_json(written))


def _measure(schema: Schema) -> Measured:
    references = References(schema)
    found = Place(schema)
    check_words(found, references)
    refuse_endless(found)
    patterns = check_patterns(found.patterns)
    size = references.expand(EXPANDED)
    return Measured(
        size.bytes,
        size.values,
        references.definitions,
        size.recursive,
        found.slow_words,
        patterns,
    )


def _bound(schema: Schema) -> None:
    size, values = 0, 0
    level: list[Any] = [schema]
    for _ in range(DEEPEST + 1):
        parts = [part for container in level for part in _parts(container)]
        values += len(parts)
        if values > MOST_VALUES:
            raise InvalidInput(f"it has more than {MOST_VALUES:,} values")
        size += sum(map(json_bytes, parts))
        if size > MOST_BYTES:
            raise InvalidInput(f"it has more than {MOST_BYTES:,} bytes")
        level = [part for part in parts if isinstance(part, dict | list)]
        if not level:
            return
    raise InvalidInput(f"it is nested deeper than {DEEPEST} levels")


def _parts(container: Any) -> Iterator[Any]:
    if isinstance(container, Mapping):
        for name in container:
            if not isinstance(name, str):
                raise InvalidInput(f"{name!r:.50} is not a text, as a name must be")
            yield name
        yield from container.values()
    else:
        yield from container
