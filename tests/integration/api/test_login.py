"""People log in, and guessing is slow and tells nothing."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from apiflask import APIFlask
from argon2 import PasswordHasher

from api.gateway import gateway_of
from factory.accounts import throttle
from factory.services import Services
from factory.store import login_attempts
from factory.store.database import rows, run

from .conftest import assert_problem
from .people import EMAIL, PASSWORD, accept, get, given_user, invite, log_in, post


def test_from_an_invitation_to_a_login(app: APIFlask) -> None:
    invited = invite(app)
    assert invited.user.invited
    assert_problem(log_in(app), 401)
    made = accept(app, invited.token).get_json()
    assert made["user"] | {"state": "active", "email": EMAIL, "is_admin": False} == made["user"]

    answer = log_in(app, " Ada@Example.COM")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    tokens = answer.get_json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 1800)
    shown = get(app, "/api/auth/me", tokens["access_token"])
    assert shown.get_json() == tokens["user"]
    assert shown.get_json()["last_login_at"]


def test_an_invitation_is_good_once(app: APIFlask) -> None:
    first, second = invite(app).token, invite(app).token
    assert_problem(accept(app, first), 401)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: accept(app, second).status_code, range(2)))
    assert sorted(answers) == [200, 401]
    assert_problem(accept(app, second), 401)


def test_an_invitation_expires(app: APIFlask, services: Services) -> None:
    token = invite(app).token
    with services.database.transaction() as tx:
        run(tx, "UPDATE invitations SET expires_at = now()")
    assert_problem(accept(app, token), 401)


@pytest.mark.parametrize("password", ["short", EMAIL, "passwordpassword", "x" * 1025, ""])
def test_a_bad_password_is_refused_and_the_invitation_stays_good(
    app: APIFlask, password: str
) -> None:
    token = invite(app).token
    answer = accept(app, token, password)
    assert_problem(answer, 422, "password")
    assert len(password) < 6 or password not in answer.text
    assert accept(app, token).status_code == 200


@pytest.mark.parametrize("password", [PASSWORD + "x", "nonsense"])
def test_a_wrong_password_looks_like_an_unknown_address(app: APIFlask, password: str) -> None:
    given_user(app)
    wrong, unknown = log_in(app, EMAIL, password), log_in(app, "eve@example.com", password)
    assert_problem(wrong, 401)
    assert wrong.headers["WWW-Authenticate"] == unknown.headers["WWW-Authenticate"]
    assert wrong.get_json() == unknown.get_json()
    assert set(wrong.headers.keys()) == set(unknown.headers.keys())


def test_an_unknown_address_costs_as_many_hashes(
    app: APIFlask, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_user(app)
    hashed: list[str] = []
    verify = PasswordHasher.verify

    def note(self: PasswordHasher, stored: str, password: str) -> bool:
        hashed.append(stored.rsplit("$", 2)[0])
        return bool(verify(self, stored, password))

    monkeypatch.setattr(PasswordHasher, "verify", note)
    invite(app, "invited@example.com")
    for email in (EMAIL, "eve@example.com", "invited@example.com"):
        assert_problem(log_in(app, email, "nonsense"), 401)
    assert len(hashed) == 3
    assert len(set(hashed)) == 1


def test_a_hash_of_other_parameters_is_replaced_at_a_login(
    app: APIFlask, services: Services
) -> None:
    given_user(app)
    weak = PasswordHasher(1, 8192, 1).hash(PASSWORD)
    with services.database.transaction() as tx:
        run(tx, "UPDATE users SET password_hash = %(hash)s", {"hash": weak})
    assert log_in(app).status_code == 200
    with services.database.transaction() as tx:
        stored = rows(tx, "SELECT password_hash FROM users")[0].password_hash
    assert "m=19456,t=2,p=1" in stored
    assert log_in(app).status_code == 200


def test_an_account_is_tried_ten_times_whoever_tries(app: APIFlask) -> None:
    given_user(app)
    for number in range(throttle.MOST_OF_ACCOUNT):
        assert_problem(log_in(app, password="nonsense", address=f"203.0.113.{number}"), 401)
    answer = log_in(app, address="198.51.100.1")
    assert_problem(answer, 429)
    assert answer.get_json()["error"]["code"] == "too_many_attempts"
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert_problem(log_in(app, "eve@example.com"), 401)


def test_an_unknown_account_is_throttled_alike(app: APIFlask) -> None:
    for _ in range(throttle.MOST_OF_ACCOUNT):
        assert_problem(log_in(app, "eve@example.com"), 401)
    assert_problem(log_in(app, "eve@example.com"), 429)


def test_a_client_is_stopped_whatever_account_it_tries(
    app: APIFlask, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "MOST_OF_CLIENT", 5)
    given_user(app)
    for number in range(5):
        network = f"2001:db8:0:1::{number}"
        assert_problem(log_in(app, f"{number}@example.com", address=network), 401)
    assert_problem(log_in(app, address="2001:db8:0:1:9::"), 429)
    assert log_in(app, address="2001:db8:0:2::").status_code == 200
    assert counted(services, "account:") == 5


def test_a_success_clears_the_account_and_is_no_attempt_of_the_client(
    app: APIFlask, services: Services
) -> None:
    given_user(app)
    for _ in range(throttle.MOST_OF_ACCOUNT - 1):
        assert_problem(log_in(app, password="nonsense"), 401)
    assert log_in(app).status_code == 200
    assert counted(services, "account:") == 0
    assert counted(services, "client:") == throttle.MOST_OF_ACCOUNT - 1
    assert_problem(log_in(app, password="nonsense"), 401)


def test_the_count_begins_anew_after_its_window(app: APIFlask, services: Services) -> None:
    for _ in range(throttle.MOST_OF_ACCOUNT + 1):
        last = log_in(app)
    assert_problem(last, 429)
    with services.database.transaction() as tx:
        run(tx, "UPDATE login_attempts SET began_at = began_at - interval '901 seconds'")
    assert_problem(log_in(app), 401)
    assert counted(services, "account:") == 1


def test_old_counts_are_deleted(app: APIFlask, services: Services) -> None:
    log_in(app)
    with services.database.transaction() as tx:
        assert login_attempts.forget_old(tx, limit=10) == 0
        run(tx, "UPDATE login_attempts SET began_at = began_at - interval '901 seconds'")
        assert login_attempts.forget_old(tx, limit=10) == 2


def test_nothing_that_was_typed_is_stored_or_logged(
    app: APIFlask, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = given_user(app)
    typed = "my password by mistake@example.com".replace(" ", "-")
    log_in(app, typed, "nonsense of mine")
    with services.database.transaction() as tx:
        tables = ("users", "invitations", "sessions", "login_attempts")
        stored = str([rows(tx, f"SELECT t::text FROM {table} t") for table in tables])
    secrets = (PASSWORD, "nonsense of mine", typed, tokens["refresh_token"])
    for text in (stored, caplog.text):
        assert [one for one in (*secrets, tokens["access_token"]) if one in text] == []


def test_a_gateway_whose_places_are_taken_says_so(app: APIFlask) -> None:
    passwords = gateway_of(app).accounts.passwords
    while passwords._here.acquire(blocking=False):
        pass
    answer = log_in(app)
    assert_problem(answer, 503)
    assert answer.headers["Retry-After"] == "2"


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("login", {"email": EMAIL}, "password"),
    ("login", {"email": EMAIL, "password": "x", "otp": 1}, "otp"),
    ("login", {"email": "nobody", "password": "x"}, "email"),
    ("login", {"email": EMAIL, "password": ["x"]}, "password"),
    ("refresh", {}, "refresh_token"),
    ("refresh", {"refresh_token": "x" * 201}, "refresh_token"),
    ("accept-invitation", {"token": "x"}, "password"),
    ("accept-invitation", {"token": "x", "password": "x", "name": ""}, "name"),
]


@pytest.mark.parametrize(("path", "body", "param"), BAD)
def test_what_does_not_fit_is_named(
    app: APIFlask, path: str, body: dict[str, Any], param: str
) -> None:
    assert_problem(post(app, f"/api/auth/{path}", body), 422, param)


def counted(services: Services, kind: str) -> int:
    with services.database.transaction() as tx:
        statement = (
            "SELECT coalesce(sum(attempts), 0) AS n FROM login_attempts WHERE subject LIKE %(kind)s"
        )
        return int(rows(tx, statement, {"kind": f"{kind}%"})[0].n)
