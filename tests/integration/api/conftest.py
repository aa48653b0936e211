"""A gateway over the test's own database, and who calls it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api import create_app
from api.gateway import gateway_of
from factory.domain.job import Outcome, new_id, parse_id
from factory.domain.state import State
from factory.llm.catalog import Catalog, load_catalog
from factory.services import Services
from factory.store import keys, moves, projects
from factory.store.database import rows

MODEL = "openai/gpt-4o-mini"
JOB = {"model": MODEL, "input": "Name three primes."}


@dataclass(frozen=True)
class Caller:
    """Somebody with a key."""

    client: FlaskClient
    project_id: UUID
    key: str
    headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", {"Authorization": f"Bearer {self.key}"})

    def post(self, path: str, body: Any = None, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, json=body, headers={**self.headers, **named})

    def post_raw(self, path: str, data: bytes, content_type: str, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(
            path, data=data, headers={**self.headers, "Content-Type": content_type, **named}
        )

    def get(self, path: str, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(path, headers={**self.headers, **named})

    def delete(self, path: str) -> TestResponse:
        return self.client.delete(path, headers=self.headers)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog("")


@pytest.fixture
def app(services: Services, catalog: Catalog) -> Iterator[APIFlask]:
    made = create_app(services, catalog)
    yield made
    gateway_of(made).close()


def make_key(services: Services, project: str, *scopes: str) -> tuple[UUID, str]:
    with services.database.transaction() as tx:
        found = projects.ensure(tx, project)
        key = keys.create(tx, services.settings.secret_key, found.id, "test", list(scopes))
    return found.id, key


@pytest.fixture
def caller(app: APIFlask, services: Services) -> Caller:
    """The owner of a project: may do everything."""
    return Caller(app.test_client(), *make_key(services, "one", "jobs", "admin"))


@pytest.fixture
def stranger(app: APIFlask, services: Services) -> Caller:
    """A caller of another project, without the scope admin."""
    return Caller(app.test_client(), *make_key(services, "two", "jobs"))


def count_jobs(services: Services) -> int:
    with services.database.transaction() as tx:
        statement = (
            "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM job_payloads)"
            " + (SELECT count(*) FROM idempotency_keys) AS n"
        )
        return int(rows(tx, statement)[0].n)


def start_job(services: Services, public: str) -> int:
    """A worker takes the job; gives the lease token."""
    with services.database.transaction() as tx:
        (claimed,) = moves.claim(tx, new_id(), [parse_id(public)])
    return claimed.lease_token


def end_job(
    services: Services, public: str, state: State = State.SUCCEEDED, output: Any = None
) -> None:
    """A worker takes the job and ends it."""
    token = start_job(services, public)
    with services.database.transaction() as tx:
        moves.finish(tx, [Outcome(parse_id(public), token, state, output=output)])


def assert_problem(
    answer: TestResponse, status: int, param: str | None = None, says: str = ""
) -> None:
    """The answer is a problem with that status, names the field, and its message holds `says`."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    body = answer.get_json()
    assert body["status"] == status
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["param"] == param
    assert says in body["detail"]
    assert answer.headers["X-Request-Id"]
