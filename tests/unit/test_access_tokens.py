"""Only what this installation signed, for this purpose and a while ago at most, is an access token."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import jwt
import pytest

from factory.accounts import access_tokens, refresh_tokens
from factory.accounts.access_tokens import LEEWAY_S, VALID_S, Access, issue, read
from factory.accounts.signing import SigningKeys

OLD, NEW = "5f1c0de9a7b34286e2d1f80934c7ab65", "9d2e7c41b8f0536a1c4be87f20d39a56"
KEYS = SigningKeys([NEW])
ACCESS = Access(uuid4(), uuid4())
[(NAME, KEY)] = KEYS.access.items()

Forge = Callable[[dict[str, Any]], str]


def claims(**changes: Any) -> dict[str, Any]:
    found = jwt.decode(issue(KEYS, ACCESS), options={"verify_signature": False})
    return {**found, **changes}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in claims().items() if key != name}


def sign(payload: dict[str, Any], key: bytes = KEY, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(payload, key, algorithm, headers={"typ": "at+jwt", "kid": NAME, **header})


def unsigned(**header: Any) -> str:
    parts = [{"typ": "at+jwt", "kid": NAME, **header}, claims()]
    texts = [
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts
    ]
    return ".".join([*texts, ""])


def tampered() -> str:
    head, _, signature = issue(KEYS, ACCESS).split(".")
    _, other, _ = sign(claims(sub=str(uuid4()))).split(".")
    return ".".join([head, other, signature])


FORGED = {
    "alg none": lambda: unsigned(alg="none"),
    "alg None": lambda: unsigned(alg="None"),
    "no alg": unsigned,
    "another alg": lambda: sign(claims(), algorithm="HS384"),
    "a longer alg": lambda: sign(claims(), algorithm="HS512"),
    "another audience": lambda: sign(claims(aud="other")),
    "several audiences": lambda: sign(claims(aud=["agent-factory-api", "other"])),
    "another issuer": lambda: sign(claims(iss="other")),
    "expired": lambda: issue(KEYS, ACCESS, time.time() - VALID_S - LEEWAY_S - 2),
    "of the future": lambda: issue(KEYS, ACCESS, time.time() + 3600),
    "a JWT for something else": lambda: sign(claims(), typ="JWT"),
    "another key": lambda: sign(claims(), key=bytes(32)),
    "the secret itself": lambda: sign(claims(), key=NEW.encode()),
    "an unknown key": lambda: sign(claims(), kid="0" * 16),
    "a subject that is no id": lambda: sign(claims(sub="root")),
    "tampered": tampered,
    "cut": lambda: issue(KEYS, ACCESS)[:-1],
    "a refresh token": lambda: refresh_tokens.first(ACCESS.session_id),
    "far too long": lambda: sign(claims(jti="x" * 2000)),
    "nothing": lambda: "..",
    **{f"without {name}": lambda name=name: sign(without(name)) for name in access_tokens.CLAIMS},
}


@pytest.mark.parametrize("made", FORGED.values(), ids=FORGED)
def test_anything_else_is_no_access_token(made: Callable[[], str]) -> None:
    assert read(KEYS, issue(KEYS, ACCESS)) == ACCESS
    assert read(KEYS, made()) is None


def test_without_the_pin_of_the_algorithm_another_one_would_be_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control of the test above."""
    decode = jwt.decode_complete

    def lenient(token: str, key: bytes, **given: Any) -> Any:
        named = jwt.get_unverified_header(token)["alg"]
        return decode(token, key, **{**given, "algorithms": [named]})

    monkeypatch.setattr(jwt, "decode_complete", lenient)
    assert read(KEYS, FORGED["another alg"]()) == ACCESS


def test_a_token_lasts_half_an_hour() -> None:
    token = issue(KEYS, ACCESS, time.time() - VALID_S + 60)
    assert read(KEYS, token) == ACCESS
    found = claims()
    assert found["exp"] - found["iat"] == 1800


def test_the_secret_can_be_replaced() -> None:
    both, turned = SigningKeys([NEW, OLD]), SigningKeys([OLD, NEW])
    for signs, reads in ((turned, both), (both, turned), (both, KEYS), (KEYS, turned)):
        assert read(reads, issue(signs, ACCESS)) == ACCESS
    assert read(KEYS, issue(SigningKeys([OLD]), ACCESS)) is None


def test_each_purpose_has_a_key_of_its_own() -> None:
    token = refresh_tokens.first(ACCESS.session_id)
    made = {KEY.hex(), *KEYS.hashes(token), *(one.hex() for one in KEYS.successors(token)), NAME}
    assert len(made) == 4
    assert NEW not in made


def test_the_token_that_follows_is_always_the_same_and_never_this_one() -> None:
    token = refresh_tokens.first(ACCESS.session_id)
    [following] = refresh_tokens.successors(KEYS, token)
    assert [following] == refresh_tokens.successors(KEYS, token)
    assert refresh_tokens.session_of(following) == ACCESS.session_id
    assert refresh_tokens.successors(KEYS, following) not in ([following], [token])
