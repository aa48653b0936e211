"""What callers send, checked before it costs anything."""

from __future__ import annotations

from typing import Any

import pytest

from factory.domain.message import Message, Role
from factory.domain.text import (
    MOST_MESSAGES,
    MOST_TEXTS,
    find_nul,
    parse_messages,
    parse_texts,
)
from factory.errors import InvalidInput

USER = {"role": "user", "content": "Hi."}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"input": [{"content": "a\x00"}]}, "input[0].content"),
        ({"a": {"b": ("x", "\x00")}}, "a.b[1]"),
        ({"a\x00": 1}, "body"),
        ({"a": {"b\x00": 1}}, "a"),
        ({"a": 1, "b": None, "c": True, "d": "fine", "e": []}, None),
    ],
)
def test_a_nul_is_found_where_it_is(value: Any, place: str | None) -> None:
    assert find_nul(value) == place


def test_a_text_is_a_message_of_the_user() -> None:
    assert parse_messages("Hi.") == (Message(Role.USER, "Hi."),)


def test_messages_keep_their_order() -> None:
    given = [
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "assistant", "content": "?"},
    ]
    assert [message.role for message in parse_messages(given)] == ["system", "user", "assistant"]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("", "input"),
        ("  \n", "input"),
        ([], "input"),
        (None, "input"),
        (7, "input"),
        ({"role": "user"}, "input"),
        (["Hi."], "input[0]"),
        ([USER, {"role": "user"}], "input[1].content"),
        ([{"role": "user", "content": 7}], "input[0].content"),
        ([{"role": "boss", "content": "Hi."}], "input[0].role"),
        ([{**USER, "name": "x"}], "input[0].name"),
        ([{"role": "system", "content": "Be brief."}], "input"),
        ([USER] * (MOST_MESSAGES + 1), "input"),
    ],
)
def test_what_is_no_conversation_is_refused_by_its_place(given: Any, param: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_messages(given)
    assert caught.value.param == param


def test_texts_are_named_by_their_place_unless_they_name_themselves() -> None:
    assert parse_texts("a") == (("input", "a"),)
    assert parse_texts(["a", {"source": "book", "text": "b"}]) == (("input[0]", "a"), ("book", "b"))


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("", "input"),
        ([], "input"),
        (["a", ""], "input[1]"),
        ([7], "input[0]"),
        ([{"text": "a"}], "input[0]"),
        ([{"source": "", "text": "a"}], "input[0].source"),
        ([{"source": "x", "text": " "}], "input[0].text"),
        (["a"] * (MOST_TEXTS + 1), "input"),
    ],
)
def test_what_are_no_texts_is_refused_by_its_place(given: Any, param: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_texts(given)
    assert caught.value.param == param
