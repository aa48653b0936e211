"""JSON is read as Python's own json reads it, and what Postgres refuses is replaced visibly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from factory.document import read_json, storable, write_exact_json, write_json

HUGE = 123456789012345678901234567890


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": [true, null, "ü", 1.5]}',
        f'{{"n": {HUGE}, "m": -{HUGE}, "f": 0.12345678901234567890}}',
        '{"a": 1, "a": 2}',
        '"\\ud83d\\ude00"',
        "18446744073709551616",
        '"1234567890123456789"',
    ],
)
@pytest.mark.parametrize("spell", [str, str.encode, lambda text: text.encode("utf-16")])
def test_a_text_is_read_as_json_reads_it(text: str, spell: Any) -> None:
    assert read_json(spell(text)) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('\ufeff{"a": 1}', {"a": 1}),
        ('\ufeff{"a": 1}'.encode(), {"a": 1}),
        (b'{"a": "\xff\xfe"}', {"a": "\ufffd\ufffd"}),
        ('{"a": "\\ud800b"}', {"a": "\ufffdb"}),
        ('{"\\udc00": ["\\u0000"]}', {"\ufffd": ["\ufffd"]}),
        ('{"a": NaN, "b": [-Infinity], "c": 1e999}', {"a": "NaN", "b": ["-Infinity"], "c": "inf"}),
    ],
)
def test_what_cannot_be_stored_is_replaced_visibly(text: Any, value: Any) -> None:
    assert read_json(text) == value
    assert read_json(write_json(value)) == value


@pytest.mark.parametrize("text", ["", "{", "[1,]", "{'a': 1}", "[" * 100_000, "1" * 5000, b"\xff"])
def test_what_is_no_json_is_a_value_error(text: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_json(text)


def test_any_value_can_be_written() -> None:
    value = {"n": HUGE, "s": "\ud800\x00", "nan": float("nan"), "list": ("ü",)}
    assert read_json(write_json(value)) == {
        "n": HUGE,
        "s": "\ufffd\ufffd",
        "nan": "nan",
        "list": ["ü"],
    }


def test_what_can_be_stored_stays() -> None:
    value = {"a": [1, 2.5, None, True, "ü😀\n"]}
    assert storable(value) == value


def test_what_is_to_be_stored_must_be_storable() -> None:
    assert read_json(write_exact_json({"n": HUGE})) == {"n": HUGE}
    with pytest.raises(UnicodeEncodeError):
        write_exact_json({"s": "\ud800"})
