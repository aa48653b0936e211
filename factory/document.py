"""JSON as Python's own `json` reads it, at orjson's speed where that reads the same.

orjson refuses lone surrogates, byte order marks, broken UTF-8 and NaN, and makes floats of integers beyond 64 bits.
Providers send all of these, and what was paid for is not thrown away for its spelling.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""What no text in Postgres may hold: NUL, and halves of a UTF-16 pair."""
LONG_NUMBER = re.compile(r"\d{19}")
"""From here on an integer may need more than 64 bits."""
LONG_NUMBER_BYTES = re.compile(LONG_NUMBER.pattern.encode())


def read_json(text: str | bytes, *, exact: bool = True) -> Any:
    """The value that `text` spells, as it can be stored: see `storable`.

    Without `exact`, integers beyond 64 bits may come as floats. Raises ValueError for what is no JSON.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _read_slowly(text)
    if exact and _has_long_number(text):
        return _read_slowly(text)
    return storable(value) if _has_nul(text) else value


def write_json(value: Any) -> bytes:
    """A value as JSON that every reader takes: see `storable`. What is no JSON becomes its `str`."""
    try:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z, default=str)
    except TypeError:  # a surrogate, or an integer beyond 64 bits
        return _write_slowly(storable(value))


def write_exact_json(value: Any) -> bytes:
    """The same of a value that is storable. Raises UnicodeEncodeError for one that is not."""
    try:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z, default=str)
    except TypeError:
        return _write_slowly(value)


def encode_json(value: Any) -> bytes:
    """A value that holds JSON's own types alone, integers of any size among them.

    Raises TypeError for another type, UnicodeEncodeError for a lone surrogate, ValueError for an integer of
    thousands of digits.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _write_slowly(value: Any) -> bytes:
    return json.dumps(value, default=str, ensure_ascii=False).encode()


def storable(value: Any) -> Any:
    """The value with a visible replacement for each character and number that Postgres' jsonb refuses."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {storable(key): storable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [storable(part) for part in value]
    return value


def storable_text(text: str) -> str:
    """The text with U+FFFD for each character that Postgres refuses."""
    if text.isascii() and "\x00" not in text:
        return text
    return UNSTORABLE.sub(REPLACEMENT, text)


def _read_slowly(text: str | bytes) -> Any:
    if isinstance(text, bytes):
        encoding = json.detect_encoding(text)
        text = text.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="replace")
    try:
        plain = text.removeprefix("\ufeff")
        # Not strict: models write line breaks into strings as they are.
        return storable(json.loads(plain, parse_constant=str, strict=False))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _has_long_number(text: str | bytes) -> bool:
    pattern: Any = LONG_NUMBER_BYTES if isinstance(text, bytes) else LONG_NUMBER
    return pattern.search(text) is not None


def _has_nul(text: str | bytes) -> bool:
    return b"\\u0000" in text if isinstance(text, bytes) else "\\u0000" in text
