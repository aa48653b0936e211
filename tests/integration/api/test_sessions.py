"""A session goes on by tokens that are good once, and ends everywhere."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from apiflask import APIFlask

from api.gateway import gateway_of
from api.live_sessions import LiveSessions
from factory.accounts import access_tokens
from factory.accounts.access_tokens import Access
from factory.domain.job import new_id
from factory.services import Services
from factory.store import sessions
from factory.store.database import rows, run
from factory.store.users import User

from .conftest import Caller, assert_problem
from .people import EMAIL, PASSWORD, get, given_user, id_of, log_in, post, refresh

OTHER = "another long pass phrase"


def test_each_refresh_gives_other_tokens(app: APIFlask) -> None:
    tokens = given_user(app)
    seen = {tokens["refresh_token"]}
    for _ in range(3):
        tokens = refresh(app, tokens["refresh_token"]).get_json()
        assert tokens["refresh_token"] not in seen
        seen.add(tokens["refresh_token"])
        assert get(app, "/api/auth/me", tokens["access_token"]).status_code == 200


def test_two_who_refresh_at_once_get_the_same_successor(app: APIFlask) -> None:
    token = given_user(app)["refresh_token"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: refresh(app, token).get_json(), range(4)))
    [successor] = {one["refresh_token"] for one in answers}
    for one in answers:
        assert get(app, "/api/auth/me", one["access_token"]).status_code == 200
    assert refresh(app, successor).status_code == 200


def test_a_token_that_is_used_again_later_ends_the_session(
    app: APIFlask, services: Services
) -> None:
    first = given_user(app)
    second = refresh(app, first["refresh_token"]).get_json()
    with services.database.transaction() as tx:
        run(tx, "UPDATE sessions SET rotated_at = rotated_at - interval '11 seconds'")

    assert_problem(refresh(app, first["refresh_token"]), 401)
    assert_problem(refresh(app, second["refresh_token"]), 401)
    assert ended_because(services) == ["reused"]
    gateway_of(app).live_sessions.forget_user(id_of(first))
    assert_problem(get(app, "/api/auth/me", second["access_token"]), 401)
    assert log_in(app).status_code == 200


def test_the_token_before_the_last_ends_the_session_at_once(
    app: APIFlask, services: Services
) -> None:
    first = given_user(app)["refresh_token"]
    second = refresh(app, first).get_json()["refresh_token"]
    third = refresh(app, second).get_json()["refresh_token"]
    assert_problem(refresh(app, first), 401)
    assert_problem(refresh(app, third), 401)
    assert ended_because(services) == ["reused"]


def test_a_session_ends_after_its_time_however_often_it_is_refreshed(
    app: APIFlask, services: Services
) -> None:
    tokens = refresh(app, given_user(app)["refresh_token"]).get_json()
    with services.database.transaction() as tx:
        run(tx, "UPDATE sessions SET expires_at = now()")
    assert_problem(refresh(app, tokens["refresh_token"]), 401)
    assert ended_because(services) == []


@pytest.mark.parametrize(
    "token", ["nonsense", f"afr_{'0' * 32}_{'A' * 43}", "afr__", "af_000000000000_nothing"]
)
def test_what_is_no_refresh_token_is_401(app: APIFlask, token: str) -> None:
    answer = refresh(app, token)
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def test_a_logout_ends_the_session_and_no_other(app: APIFlask, services: Services) -> None:
    first = given_user(app)
    second = log_in(app).get_json()
    body = {"refresh_token": first["refresh_token"]}
    for _ in range(2):
        assert post(app, "/api/auth/logout", body).status_code == 204
    assert_problem(refresh(app, first["refresh_token"]), 401)
    assert_problem(get(app, "/api/auth/me", first["access_token"]), 401)
    assert get(app, "/api/auth/me", second["access_token"]).status_code == 200
    assert ended_because(services) == ["logout"]


def test_a_session_that_is_ended_elsewhere_stops_within_5_s(
    app: APIFlask, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = given_user(app)
    assert get(app, "/api/auth/me", tokens["access_token"]).status_code == 200
    with services.database.transaction() as tx:
        run(tx, "UPDATE sessions SET ended_at = now()")
    assert get(app, "/api/auth/me", tokens["access_token"]).status_code == 200
    began, later = time.monotonic(), 5.0
    monkeypatch.setattr("api.live_sessions.time.monotonic", lambda: began + later)
    assert_problem(get(app, "/api/auth/me", tokens["access_token"]), 401)


def test_without_the_check_of_the_session_a_token_would_outlive_its_logout(
    app: APIFlask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the tests above."""
    tokens = given_user(app)
    user = gateway_of(app).live_sessions.verify(tokens["access_token"])
    assert user
    post(app, "/api/auth/logout", {"refresh_token": tokens["refresh_token"]})
    assert gateway_of(app).live_sessions.verify(tokens["access_token"]) is None

    def believe(_: LiveSessions, __: Any) -> User:
        return user.user

    monkeypatch.setattr(LiveSessions, "_user", believe)
    assert get(app, "/api/auth/me", tokens["access_token"]).status_code == 200


def test_a_password_change_ends_all_other_sessions(app: APIFlask) -> None:
    mine = given_user(app)
    others = [log_in(app).get_json() for _ in range(2)]
    body = {"current_password": PASSWORD, "new_password": OTHER}
    assert post(app, "/api/auth/password", body, mine["access_token"]).status_code == 204
    assert get(app, "/api/auth/me", mine["access_token"]).status_code == 200
    assert refresh(app, mine["refresh_token"]).status_code == 200
    for one in others:
        assert_problem(get(app, "/api/auth/me", one["access_token"]), 401)
        assert_problem(refresh(app, one["refresh_token"]), 401)
    assert_problem(log_in(app), 401)
    assert log_in(app, EMAIL, OTHER).status_code == 200


@pytest.mark.parametrize(
    ("current", "new", "param"),
    [("nonsense", OTHER, "current_password"), (PASSWORD, "short", "new_password")],
)
def test_a_password_is_changed_by_who_knows_it_to_a_good_one(
    app: APIFlask, current: str, new: str, param: str
) -> None:
    token = given_user(app)["access_token"]
    body = {"current_password": current, "new_password": new}
    assert_problem(post(app, "/api/auth/password", body, token), 422, param)
    assert log_in(app).status_code == 200


def test_who_changed_the_password_meanwhile_keeps_a_login_out(
    app: APIFlask, services: Services
) -> None:
    given_user(app)
    session = sessions.NewSession(new_id(), user_ids(services)[0], "x", 60.0, None, None)
    with services.database.transaction() as tx:
        assert sessions.open_session(tx, session, "the hash of before") is None


def test_a_person_is_told_that_jobs_need_an_api_key(app: APIFlask) -> None:
    token = given_user(app)["access_token"]
    for answer in (
        post(app, "/api/jobs", {"model": "openai/gpt-4o-mini", "input": "x"}, token),
        get(app, "/api/jobs", token),
        get(app, f"/api/jobs/job_{'0' * 32}", token),
        get(app, "/api/keys", token),
    ):
        assert_problem(answer, 403, None, "API key")


@pytest.mark.parametrize("path", ["/api/jobs", "/api/auth/me", "/api/users"])
def test_a_token_of_no_live_session_is_401_everywhere(app: APIFlask, path: str) -> None:
    tokens = given_user(app)
    keys = gateway_of(app).accounts.keys
    made = (
        access_tokens.issue(keys, Access(id_of(tokens), new_id())),
        access_tokens.issue(keys, Access(new_id(), session_ids(app)[0])),
        "a.b.c",
        tokens["refresh_token"],
    )
    for token in made:
        answer = get(app, path, token)
        assert_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def test_an_api_key_is_no_person(app: APIFlask, caller: Caller) -> None:
    for path in ("/api/auth/me", "/api/users"):
        assert_problem(caller.get(path), 403)


def test_old_sessions_are_deleted(app: APIFlask, services: Services) -> None:
    given_user(app)
    with services.database.transaction() as tx:
        assert sessions.forget_old(tx, limit=10) == 0
        run(tx, "UPDATE sessions SET expires_at = now() - interval '31 days'")
        assert sessions.forget_old(tx, limit=10) == 1


def ended_because(services: Services) -> list[str]:
    with services.database.transaction() as tx:
        statement = "SELECT ended_because AS why FROM sessions WHERE ended_at IS NOT NULL"
        return [row.why for row in rows(tx, statement)]


def user_ids(services: Services) -> list[Any]:
    with services.database.transaction() as tx:
        return [row.id for row in rows(tx, "SELECT id FROM users")]


def session_ids(app: APIFlask) -> list[Any]:
    with gateway_of(app).services.database.transaction() as tx:
        return [row.id for row in rows(tx, "SELECT id FROM sessions")]
