"""JSON that satisfies a JSON Schema, made up from a seed.

It knows the keywords that providers accept for structured output, in JSON Schema's spelling and in
Gemini's (`"STRING"`, `nullable`). Optional properties are filled in too, until the nesting is deep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

Schema = Mapping[str, Any]

_DEEP = 5
"""From this nesting on only what is required is made, so that recursive schemas end."""
_WORDS = ("simulated", "value", "from", "the", "factory", "simulator")
_FORMATS = {
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "date-time": "2026-01-02T03:04:05Z",
    "email": "simulated@example.com",
    "uri": "https://example.com/simulated",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "hostname": "simulated.example.com",
}


def make_value(schema: Schema, seed: bytes) -> Any:
    """A value that satisfies `schema`; the same schema and seed give the same value."""
    return _Maker(schema, Random(seed)).make(schema, 0)  # noqa: S311


class _Maker:
    def __init__(self, root: Schema, random: Random) -> None:
        self._root = root
        self._random = random
        self._by_type: dict[str, Callable[[Schema, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda _schema, _depth: self._random.random() < 0.5,
            "null": lambda _schema, _depth: None,
        }

    def make(self, schema: Schema | bool, depth: int) -> Any:
        if isinstance(schema, bool):
            return "simulated"
        schema = self._resolve(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._random.choice(schema["enum"])
        return self._by_type[_type_of(schema)](schema, depth)

    def _resolve(self, schema: Schema, depth: int) -> Schema:
        """The schema with `$ref`, `allOf` and the chosen branch of `anyOf`/`oneOf` merged in."""
        if "$ref" in schema:
            return self._resolve(self._find(schema["$ref"]) | _without(schema, "$ref"), depth)
        if schema.get("allOf"):
            merged = _without(schema, "allOf")
            for part in schema["allOf"]:
                merged = _merge(merged, self._resolve(part, depth))
            return self._resolve(merged, depth)
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                branch = self._choose(schema[keyword], depth)
                return self._resolve(_merge(_without(schema, keyword), branch), depth)
        return schema

    def _choose(self, branches: list[Schema], depth: int) -> dict[str, Any]:
        """The first branch; deep down, one that ends a recursion (null or a scalar) if there is one."""
        if depth >= _DEEP:
            flat = [
                b for b in branches if "$ref" not in b and _type_of(b) not in ("object", "array")
            ]
            branches = flat or branches
        return dict(branches[0])

    def _find(self, reference: str) -> dict[str, Any]:
        found: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")] if step else found
        return dict(found)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: Schema = schema.get("properties") or {}
        required = schema.get("required") or ()
        names = [name for name in properties if depth < _DEEP or name in required]
        made = {name: self.make(properties[name], depth + 1) for name in names}
        extra = schema.get("additionalProperties", True)
        made.update({name: self.make(extra, depth + 1) for name in required if name not in made})
        return made

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        made = [self.make(item, depth + 1) for item in schema.get("prefixItems", ())]
        least = int(schema.get("minItems", 0))
        wanted = max(least, len(made), 0 if depth >= _DEEP else 2)
        wanted = min(wanted, int(schema.get("maxItems", wanted)))
        items = schema.get("items", True)
        while len(made) < wanted and items is not False:
            value = self.make(items, depth + 1)
            if schema.get("uniqueItems") and value in made and len(made) >= least:
                break
            made.append(value)
        return made

    def _string(self, schema: Schema, _depth: int) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = " ".join(self._random.choices(_WORDS, k=3))
        least = int(schema.get("minLength", 0))
        text = text.ljust(least, ".")
        return text[: int(schema.get("maxLength", len(text)))]

    def _integer(self, schema: Schema, _depth: int) -> int:
        low, high = _bounds(schema, nudge=1)
        step = int(schema.get("multipleOf", 1)) or 1
        first = -int(-low // step)
        return step * self._random.randint(first, max(first, int(high // step)))

    def _number(self, schema: Schema, depth: int) -> float:
        if "multipleOf" in schema:
            low, high = _bounds(schema, nudge=schema["multipleOf"])
            first = -int(-low // schema["multipleOf"])
            last = max(first, int(high // schema["multipleOf"]))
            return float(schema["multipleOf"] * self._random.randint(first, last))
        low, high = _bounds(schema, nudge=0)
        return low + (high - low) * (0.25 + self._random.random() / 2)


def _type_of(schema: Schema) -> str:
    named = schema.get("type")
    if isinstance(named, list):
        named = next((name for name in named if name != "null"), "null")
    if named:
        return str(named).lower()
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _bounds(schema: Schema, nudge: float) -> tuple[float, float]:
    """The closed interval that the schema allows, 100 wide where it leaves one side open."""
    lows = [schema[k] for k in ("minimum",) if k in schema]
    lows += [schema[k] + nudge for k in ("exclusiveMinimum",) if k in schema]
    highs = [schema[k] for k in ("maximum",) if k in schema]
    highs += [schema[k] - nudge for k in ("exclusiveMaximum",) if k in schema]
    low = max(lows) if lows else min(0, min(highs) - 100) if highs else 0
    high = min(highs) if highs else low + 100
    return low, high


def _merge(left: Schema, right: Schema) -> dict[str, Any]:
    """Both schemas at once: properties and required names joined, otherwise the right one wins."""
    merged = {**left, **right}
    if "properties" in left and "properties" in right:
        merged["properties"] = {**left["properties"], **right["properties"]}
    if "required" in left and "required" in right:
        merged["required"] = [*left["required"], *right["required"]]
    return merged


def _without(schema: Schema, keyword: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != keyword}
