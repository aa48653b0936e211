"""API keys: who may call, and how keys are made and ended."""

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from apiflask import APIFlask
from sqlalchemy import event

from api.gateway import gateway_of
from factory.services import Services
from factory.store import keys
from factory.store.database import run

from .conftest import Caller, assert_problem, eventually, make_key


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer af_000000000000_nothing", "Bearer nonsense", "Basic YTpi"],
)
def test_a_call_without_a_good_key_is_401(app: APIFlask, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = app.test_client().get("/api/jobs", headers=headers)

    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("path", ["/health", "/ready", "/docs", "/openapi.json"])
def test_health_and_documents_need_no_key(app: APIFlask, path: str) -> None:
    assert app.test_client().get(path).status_code == 200


def test_a_key_without_the_scope_is_403(other_caller: Caller) -> None:
    assert other_caller.get("/api/jobs").status_code == 200
    answer = other_caller.post("/api/keys", {"name": "mine", "scopes": ["admin"]})
    assert_problem(answer, 403, None, "admin")


def test_an_admin_key_alone_may_not_run_jobs(app: APIFlask, services: Services) -> None:
    caller = Caller(app.test_client(), *make_key(services, "one", "admin"))

    assert_problem(caller.get("/api/jobs"), 403, None, "jobs")


def test_a_new_key_works_and_is_shown_once(app: APIFlask, caller: Caller) -> None:
    answer = caller.post("/api/keys", {"name": "billing"})

    assert answer.status_code == 201, answer.text
    made = answer.get_json()
    assert made["scopes"] == ["jobs"]
    assert (
        Caller(app.test_client(), caller.project_id, made["key"]).get("/api/jobs").status_code
        == 200
    )
    listed = caller.get("/api/keys").get_json()["data"]
    assert [key["name"] for key in listed] == ["billing", "test"]
    assert "key" not in listed[0]
    assert made["key"].split("_")[2] not in caller.get("/api/keys").text


def test_a_revoked_key_stops_at_once_in_its_process(app: APIFlask, caller: Caller) -> None:
    made = caller.post("/api/keys", {"name": "billing"}).get_json()
    holder = Caller(app.test_client(), caller.project_id, made["key"])
    assert holder.get("/api/jobs").status_code == 200

    assert caller.delete(f"/api/keys/{made['prefix']}").status_code == 204
    assert_problem(holder.get("/api/jobs"), 401)
    assert_problem(caller.delete(f"/api/keys/{made['prefix']}"), 404, "prefix")


def test_a_key_revoked_elsewhere_stops_within_30_s(
    app: APIFlask, caller: Caller, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.keyring.REMEMBER_S", 0.2)
    with services.database.transaction() as tx:
        keys.revoke(tx, caller.project_id, caller.key.split("_")[1])

    assert_problem(caller.get("/api/jobs"), 401)


def test_a_known_key_is_not_looked_up_again(
    app: APIFlask, caller: Caller, services: Services
) -> None:
    assert caller.get("/health").status_code == 200
    assert gateway_of(app).keyring.verify(caller.key)
    with services.database.transaction() as tx:
        run(tx, "DELETE FROM api_keys")

    assert caller.get("/api/jobs").status_code == 200


def test_a_key_of_another_project_cannot_be_revoked(caller: Caller, other_caller: Caller) -> None:
    answer = caller.delete(f"/api/keys/{other_caller.key.split('_')[1]}")

    assert_problem(answer, 404, "prefix")
    assert other_caller.get("/api/jobs").status_code == 200


@pytest.mark.parametrize("prefix", ["%00", "a%00", "..", "x" * 500])
def test_a_prefix_that_nobody_has_is_404(caller: Caller, prefix: str) -> None:
    assert caller.delete(f"/api/keys/{prefix}").status_code == 404


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["root"]}, "scopes[0]"),
        ({"name": "x", "project_id": "y"}, "project_id"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"name": "x", "expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
        ({"name": "x", "expires_at": "infinity"}, "expires_at"),
    ],
)
def test_a_key_that_cannot_be_made_names_the_field(
    caller: Caller, body: dict[str, Any], param: str
) -> None:
    assert_problem(caller.post("/api/keys", body), 422, param)
    assert len(caller.get("/api/keys").get_json()["data"]) == 1


def test_a_key_may_expire(caller: Caller) -> None:
    answer = caller.post("/api/keys", {"name": "x", "expires_at": "2091-01-01T00:00:00Z"})

    assert answer.status_code == 201
    assert answer.get_json()["expires_at"] == "2091-01-01T00:00:00Z"


@contextmanager
def checkouts(services: Services) -> Iterator[list[object]]:
    """Each time that a connection is taken from the pool."""
    taken: list[object] = []

    def note(*given: object) -> None:
        taken.append(given)

    event.listen(services.database.engine, "checkout", note)
    yield taken
    event.remove(services.database.engine, "checkout", note)


def unknown_token() -> str:
    return f"af_{secrets.token_hex(6)}_{secrets.token_hex(24)}"


def test_tokens_that_no_key_can_have_cost_no_connection(app: APIFlask, services: Services) -> None:
    garbage = ["af_000000000000_nothing", "x" * 5000, "af_'--_x", unknown_token().upper()]
    with checkouts(services) as taken:
        for token in garbage:
            headers = {"Authorization": f"Bearer {token}"}
            assert app.test_client().get("/api/jobs", headers=headers).status_code == 401

    assert taken == []


def test_an_unknown_token_is_looked_up_once(app: APIFlask, services: Services) -> None:
    keyring, token = gateway_of(app).keyring, unknown_token()
    with checkouts(services) as taken:
        assert [keyring.verify(token) for _ in range(20)] == [None] * 20

    assert len(taken) == 1


def test_many_unknown_tokens_at_once_share_a_connection(app: APIFlask, services: Services) -> None:
    keyring = gateway_of(app).keyring
    with checkouts(services) as taken, ThreadPoolExecutor(40) as threads:
        with services.database.transaction() as tx:
            # Who asks first waits for the table, and the others for their turn.
            run(tx, "LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
            asked = [threads.submit(keyring.verify, unknown_token()) for _ in range(40)]
            eventually(lambda: len(keyring._looking_up._waiting) == 39)
        assert [one.result() for one in asked] == [None] * 40

    assert len(taken) == 3


def test_guessing_pushes_no_good_key_out(
    app: APIFlask, caller: Caller, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.keyring.MOST_REFUSED", 10)
    keyring = gateway_of(app).keyring
    assert keyring.verify(caller.key)
    for _ in range(30):
        assert keyring.verify(unknown_token()) is None
    with checkouts(services) as taken:
        assert keyring.verify(caller.key)

    assert taken == []
    assert len(keyring._refused) == 10


def test_a_remembered_key_ends_at_its_time(
    app: APIFlask, caller: Caller, services: Services
) -> None:
    keyring = gateway_of(app).keyring
    with services.database.transaction() as tx:
        run(tx, "UPDATE api_keys SET expires_at = now() + interval '2 seconds'")
    # What is remembered for 30 s would outlast this.
    until = time.monotonic() + 20
    while keyring.verify(caller.key) and time.monotonic() < until:
        time.sleep(0.05)

    assert_problem(caller.get("/api/jobs"), 401)
