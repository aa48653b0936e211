"""Administrators invite people, and end what they may do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from apiflask import APIFlask

from factory.services import Services
from factory.store.database import rows

from .conftest import assert_problem
from .people import accept, get, given_user, id_of, invite, log_in, post, refresh

BOSS = "boss@example.com"
ADA = {"email": "Ada@example.com", "name": "Ada"}


def test_an_administrator_invites_and_sees_who_is_there(app: APIFlask) -> None:
    token = given_user(app, BOSS, is_admin=True)["access_token"]
    answer = post(app, "/api/users", ADA, token)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.get_json()
    assert (made["email"], made["state"], made["is_admin"]) == ("ada@example.com", "invited", False)

    assert accept(app, made["invitation_token"]).status_code == 200
    listed = get(app, "/api/users", token).get_json()["data"]
    assert [(one["email"], one["state"]) for one in listed] == [
        ("ada@example.com", "active"),
        (BOSS, "active"),
    ]
    assert "invitation_token" not in listed[0]
    assert_problem(post(app, "/api/users", ADA, token), 409, "email")


def test_an_invitation_can_be_made_again_until_it_is_accepted(app: APIFlask) -> None:
    token = given_user(app, BOSS, is_admin=True)["access_token"]
    first, second = (
        post(app, "/api/users", ADA, token).get_json()["invitation_token"] for _ in range(2)
    )
    assert_problem(accept(app, first), 401)
    assert_problem(post(app, "/api/users", {**ADA, "is_admin": True}, token), 409, "is_admin")
    assert accept(app, second).status_code == 200


def test_others_may_not(app: APIFlask) -> None:
    tokens = given_user(app)
    token = tokens["access_token"]
    for answer in (
        get(app, "/api/users", token),
        post(app, "/api/users", ADA, token),
        post(app, f"/api/users/{id_of(tokens)}/deactivate", {}, token),
    ):
        assert_problem(answer, 403, None, "administrator")


def test_who_is_deactivated_is_out(app: APIFlask) -> None:
    boss, ada = given_user(app, BOSS, is_admin=True), given_user(app)
    pending = invite(app, "eve@example.com")
    path = f"/api/users/{id_of(ada)}/deactivate"
    for _ in range(2):
        answer = post(app, path, None, boss["access_token"])
        assert (answer.status_code, answer.get_json()["state"]) == (200, "deactivated")
    assert_problem(get(app, "/api/auth/me", ada["access_token"]), 401)
    assert_problem(refresh(app, ada["refresh_token"]), 401)
    assert_problem(log_in(app), 401)
    assert_problem(post(app, "/api/users", ADA, boss["access_token"]), 409, "email")

    post(app, f"/api/users/{pending.user.id}/deactivate", None, boss["access_token"])
    assert_problem(accept(app, pending.token), 401)


def test_the_last_administrator_stays(app: APIFlask) -> None:
    boss = given_user(app, BOSS, is_admin=True)
    invite(app, "second@example.com", is_admin=True)
    path = f"/api/users/{id_of(boss)}/deactivate"
    assert_problem(post(app, path, None, boss["access_token"]), 409, "user_id")
    assert get(app, "/api/auth/me", boss["access_token"]).status_code == 200


def test_of_two_who_deactivate_each_other_one_stays(app: APIFlask, services: Services) -> None:
    both = [given_user(app, f"{n}@example.com", is_admin=True) for n in range(2)]

    def end(pair: tuple[dict[str, Any], dict[str, Any]]) -> int:
        mine, other = pair
        path = f"/api/users/{id_of(other)}/deactivate"
        return post(app, path, None, mine["access_token"]).status_code

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(end, [(both[0], both[1]), (both[1], both[0])]))
    assert answers.count(200) == 1
    with services.database.transaction() as tx:
        assert len(rows(tx, "SELECT 1 FROM users WHERE deactivated_at IS NULL")) == 1


@pytest.mark.parametrize("user_id", ["x", "00000000-0000-0000-0000-000000000000"])
def test_who_is_not_there_is_404(app: APIFlask, user_id: str) -> None:
    token = given_user(app, BOSS, is_admin=True)["access_token"]
    assert_problem(post(app, f"/api/users/{user_id}/deactivate", None, token), 404, "user_id")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "Ada"}, "email"),
        ({"email": "ada", "name": "Ada"}, "email"),
        ({"email": "a@b", "name": ""}, "name"),
        ({"email": "a@b", "name": "A", "password": "x"}, "password"),
    ],
)
def test_what_does_not_fit_is_named(app: APIFlask, body: dict[str, Any], param: str) -> None:
    token = given_user(app, BOSS, is_admin=True)["access_token"]
    assert_problem(post(app, "/api/users", body, token), 422, param)
