"""Bodies are read strictly."""

import pytest
from werkzeug.exceptions import BadRequest
from werkzeug.test import create_environ

from api.body import WHOLE_BODY, StrictRequest, parse_json
from factory.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'{"a": 1,\n "b": }', "line 2, column 7"),
        (b"", "line 1, column 1"),
        (b"NaN", "line 1, column 1"),
        (b'"\\ud800"', "line 1, column 2"),
        (b'"\xff"', "line 1, column 1"),
    ],
)
def test_malformed_json_is_named_by_line_and_column(text: bytes, place: str) -> None:
    with pytest.raises(BadRequest, match=place):
        parse_json(text)


def test_32_levels_pass_and_33_do_not() -> None:
    assert parse_json(b"[" * 32 + b"]" * 32)
    with pytest.raises(InvalidInput, match="32 levels"):
        parse_json(b"[" * 33 + b"]" * 33)


def test_nesting_beyond_what_a_parser_takes_is_malformed() -> None:
    with pytest.raises(BadRequest, match="malformed"):
        parse_json(b"[" * 100_000)


def test_a_nul_is_named_by_its_path() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_json(b'{"input": [{"content": "a\\u0000b"}]}')
    assert caught.value.param == "input[0].content"


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert parse_json(rb'"\\u0000"') == r"\u0000"


def test_a_body_that_the_server_has_whole_is_read_as_its_stream() -> None:
    environ = create_environ(method="POST", data=b'{"a": 1}', content_type="application/json")
    by_stream = StrictRequest(environ).get_json()

    assert StrictRequest(environ | {WHOLE_BODY: b'{"a": 1}'}).get_json() == by_stream == {"a": 1}
