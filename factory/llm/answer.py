"""Structured output: which JSON schemas are accepted, and whether an answer fits its own.

Schemas come from callers and answers from models. Both are checked on the event loop that a thousand other calls
share. So references are never fetched, patterns have a time limit, and a check that may take long runs in a child
process (`factory.llm.check`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import regex
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry

from factory.document import read_json
from factory.errors import InvalidOutput, SchemaUnusable

PATTERNS_S = 1.0
"""The limit for all patterns of a schema together, however many texts the answer has. `regex` counts CPU time."""
NO_REGISTRY: Registry[Any] = Registry()
"""With it, jsonschema does not fetch a `$ref` that is a URL."""
FENCED = re.compile(r"```(?:json|JSON)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)
Schema = Mapping[str, Any]


def parse_answer(text: str, schema: Schema) -> Any:
    """`text` as JSON that satisfies `schema`. Raises InvalidOutput that says where it does not."""
    try:
        answer = _read(text)
    except ValueError as cause:
        raise InvalidOutput(f"the answer is not JSON: {str(cause)[:500]}") from None
    validator = AnswerValidator(schema, registry=NO_REGISTRY)
    _patterns_end.set(time.monotonic() + PATTERNS_S)
    try:
        error = next(validator.iter_errors(answer), None)
    except TimeoutError:
        raise SchemaUnusable("the patterns of the schema take too long to match") from None
    # The check of a schema does not follow references, so what lies behind one may break the validator in any way.
    except Exception as cause:  # noqa: BLE001
        raise SchemaUnusable(
            f"the schema cannot be applied: {type(cause).__name__}: {str(cause)[:200]}"
        ) from None
    if error is not None:
        raise InvalidOutput(
            f"the answer does not fit the schema at {error.json_path}: {error.message[:500]}"
        )
    return answer


def _read(text: str) -> Any:
    """The text as JSON, even between Markdown fences: models without an enforced grammar often add them."""
    try:
        return read_json(text)
    except ValueError:
        fenced = FENCED.fullmatch(text.strip())
        if fenced is None:
            raise
        return read_json(fenced[1])


def _match_pattern(
    _validator: Any, pattern: str, instance: Any, _schema: Schema
) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    try:
        found = regex.search(pattern, instance, timeout=_pattern_seconds())
    except regex.error as error:
        yield ValidationError(f"{pattern!r} is not a pattern: {error}")
        return
    if found is None:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_seconds() -> float:
    """The seconds that are left for patterns. Raises TimeoutError when there are none."""
    left_s = _patterns_end.get() - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


_patterns_end: ContextVar[float] = ContextVar("patterns_end", default=0.0)

AnswerValidator = extend(Draft202012Validator, {"pattern": _match_pattern})  # type: ignore[no-untyped-call]
