"""Addresses, passwords and clients, as accounts know them."""

from __future__ import annotations

import pytest

from factory.domain.account import check_password, network_of, normal_email, normal_password
from factory.errors import InvalidInput

EMAIL = "ada@example.com"


@pytest.mark.parametrize(
    "text", ["ada@example.com", " Ada@Example.COM ", "ADA@EXAMPLE.COM", "ａda@example.com"]
)
def test_one_address_has_one_form(text: str) -> None:
    assert normal_email(text) == EMAIL


@pytest.mark.parametrize(
    "text", ["", "ada", "@b", "a@", "a b@c", "a@b@c", "a\u200b\n@b", "x" * 254 + "@b"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        normal_email(text)
    assert refused.value.param == "email"


@pytest.mark.parametrize(
    "password",
    [
        "eleven char",
        "x" * 1025,
        "zzzzzzzzzzzzzz",
        "Password1234",
        "  passwordpassword ",
        "adalovelace@example.com",
        "AdaLovelace@Example.com",
        "adalovelace.",
    ],
)
def test_a_password_that_is_short_long_or_guessed_is_refused(password: str) -> None:
    address = (
        "adalovelace.@example.com" if password == "adalovelace." else "adalovelace@example.com"
    )
    with pytest.raises(InvalidInput) as refused:
        check_password(password, address)
    assert refused.value.param == "password"
    assert password.strip().casefold() not in str(refused.value).casefold()


@pytest.mark.parametrize(
    "password", ["twelve chars", "x1" * 512, "пароль из слов", "🔑" * 11 + "a"]
)
def test_any_characters_make_a_password(password: str) -> None:
    assert check_password(password, EMAIL) == normal_password(password)


def test_a_password_is_the_same_from_every_keyboard() -> None:
    assert check_password("cafe\u0301 au lait!", EMAIL) == check_password("café au lait!", EMAIL)
    assert normal_password("ｐａｓｓ") == "pass"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        (None, "unknown"),
        ("nonsense", "unknown"),
    ],
)
def test_a_client_is_an_address_or_a_network(address: str | None, network: str) -> None:
    assert network_of(address) == network
