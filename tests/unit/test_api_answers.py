"""Answers of the gateway as JSON."""

from __future__ import annotations

import json

from api.answers import json_answer


def test_an_integer_beyond_64_bits_is_shown_as_it_is() -> None:
    assert json.loads(json_answer({"n": 10**30}).data) == {"n": 10**30}
