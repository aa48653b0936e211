"""Structured output: which JSON schemas are accepted, and whether an answer fits its own.

Schemas come from callers and answers from models, and both meet on the event loop that a thousand
other calls share. So references are never fetched, and a pattern has a time limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import regex
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry

from factory.document import read_json
from factory.errors import InvalidOutput, SchemaUnusable

PATTERN_LIMIT_S = 0.05
NO_REGISTRY: Registry[Any] = Registry()
"""Without it jsonschema fetches a `$ref` that is a URL."""
Schema = Mapping[str, Any]


def parse_answer(text: str, schema: Schema) -> Any:
    """`text` as JSON that satisfies `schema`. Raises InvalidOutput that says where it does not."""
    try:
        answer = read_json(text)
    except ValueError as cause:
        raise InvalidOutput(f"the answer is not JSON: {str(cause)[:500]}") from None
    validator = AnswerValidator(schema, registry=NO_REGISTRY)
    try:
        error = next(validator.iter_errors(answer), None)
    # A schema may be wrong in any way behind a reference that its own check does not follow.
    except Exception as cause:  # noqa: BLE001
        raise SchemaUnusable(
            f"the schema cannot be applied: {type(cause).__name__}: {str(cause)[:200]}"
        ) from None
    if error is not None:
        raise InvalidOutput(
            f"the answer does not fit the schema at {error.json_path}: {error.message[:500]}"
        )
    return answer


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
