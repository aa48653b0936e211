"""Structured output: which JSON schemas are accepted, and whether an answer fits its own.

Schemas come from callers and answers from models, and both meet on the event loop that a thousand
other calls share. So references are never fetched, and a pattern has a time limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import regex
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from factory.errors import InvalidOutput

PATTERN_LIMIT_S = 0.05
NO_REGISTRY: Registry[Any] = Registry()
"""Without it jsonschema fetches a `$ref` that is a URL."""
Schema = Mapping[str, Any]


def parse_answer(text: str, schema: Schema) -> Any:
    """`text` as JSON that satisfies `schema`. Raises InvalidOutput that says where it does not."""
    try:
        answer = orjson.loads(text)
    except orjson.JSONDecodeError as cause:
        raise InvalidOutput(f"the answer is not JSON: {cause}") from None
    validator = AnswerValidator(schema, registry=NO_REGISTRY)
    try:
        error = next(validator.iter_errors(answer), None)
    except (Unresolvable, RecursionError) as cause:
        raise InvalidOutput(f"the schema cannot be applied: {cause}") from None
    if error is not None:
        raise InvalidOutput(
            f"the answer does not fit the schema at {error.json_path}: {error.message[:500]}"
        )
    return answer


def is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes the schema: every object closed, every property required.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    if isinstance(schema, list):
        return all(map(is_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("properties", ())) != set(schema.get("required", ())):
            return False
    return all(map(is_strict, schema.values()))


def _match_pattern(
    _validator: Any, pattern: str, instance: Any, _schema: Schema
) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    try:
        found = regex.search(pattern, instance, timeout=PATTERN_LIMIT_S)
    except TimeoutError:
        found = None
    except regex.error as error:
        yield ValidationError(f"{pattern!r} is not a pattern: {error}")
        return
    if found is None:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


AnswerValidator = extend(Draft202012Validator, {"pattern": _match_pattern})  # type: ignore[no-untyped-call]
