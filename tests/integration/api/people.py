"""People for tests: invited, with a password, and logged in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIFlask
from werkzeug.test import TestResponse

from api.gateway import gateway_of
from factory.accounts import people
from factory.accounts.people import Invitation
from factory.domain.principal import PLATFORM

PASSWORD = "correct pony battery"
EMAIL = "ada@example.com"


def invite(app: APIFlask, email: str = EMAIL, *, is_admin: bool = False) -> Invitation:
    here = gateway_of(app)
    with here.services.database.transaction(PLATFORM) as tx:
        return people.invite(tx, here.accounts.keys, email, "Ada", "test", is_admin=is_admin)


def post(app: APIFlask, path: str, body: Any, token: str = "", **given: Any) -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return app.test_client().post(path, json=body, headers=headers, **given)


def get(app: APIFlask, path: str, token: str) -> TestResponse:
    return app.test_client().get(path, headers={"Authorization": f"Bearer {token}"})


def accept(app: APIFlask, token: str, password: str = PASSWORD) -> TestResponse:
    return post(app, "/api/auth/accept-invitation", {"token": token, "password": password})


def log_in(
    app: APIFlask, email: str = EMAIL, password: str = PASSWORD, address: str = "203.0.113.1"
) -> TestResponse:
    body = {"email": email, "password": password}
    return post(app, "/api/auth/login", body, environ_base={"REMOTE_ADDR": address})


def refresh(app: APIFlask, token: str) -> TestResponse:
    return post(app, "/api/auth/refresh", {"refresh_token": token})


def given_user(app: APIFlask, email: str = EMAIL, *, is_admin: bool = False) -> dict[str, Any]:
    """Somebody who has accepted an invitation: the tokens."""
    answer = accept(app, invite(app, email, is_admin=is_admin).token)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def id_of(tokens: dict[str, Any]) -> UUID:
    return UUID(tokens["user"]["id"])
