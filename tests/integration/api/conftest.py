"""A gateway over the test's own database, and who calls it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import httpx
import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from werkzeug.test import TestResponse

from api import create_app
from api.gateway import gateway_of
from factory.domain.job import Outcome, new_id, parse_id
from factory.domain.state import State
from factory.llm.catalog import Catalog, load_catalog
from factory.pipeline.run.attempt import Ending, end_attempts
from factory.services import Services
from factory.store import keys, moves, projects
from factory.store.database import rows
from tests.integration.reliability.ports import free_port

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
def other_caller(app: APIFlask, services: Services) -> Caller:
    """A caller of another project, without the scope admin."""
    return Caller(app.test_client(), *make_key(services, "two", "jobs"))


def count_jobs(services: Services) -> int:
    with services.database.transaction() as tx:
        statement = (
            "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM job_requests)"
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
        end_attempts(tx, [Ending(Outcome(parse_id(public), token, state, output=output))])


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


PATIENCE_S = 60.0


def exported(port: int) -> list[Sample]:
    """What a gateway's metrics are; none before it serves them."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    except httpx.TransportError:
        return []
    return [one for family in text_string_to_metric_families(text) for one in family.samples]


def eventually(holds: Callable[[], bool]) -> None:
    """Waits until it does."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


@pytest.fixture
def socket_path() -> Iterator[str]:
    """Short, as a socket's path must be."""
    with TemporaryDirectory(prefix="gw") as directory:
        yield str(Path(directory, "s"))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A TCP socket on which the server listens."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as made:
        yield made


@pytest.fixture
def unix_listener(socket_path: str) -> Iterator[socket.socket]:
    """And a unix socket."""
    with socket.create_server(socket_path, family=socket.AF_UNIX, backlog=2048) as made:
        yield made


@pytest.fixture
def server_settings() -> dict[str, str]:
    """Further settings of the server, for a test file to name."""
    return {}


@pytest.fixture
def metrics_port() -> int:
    """Where the server shows its metrics."""
    return free_port()


@pytest.fixture
def server_prefix() -> list[str]:
    """What runs the server's command, for a test to name."""
    return []


@pytest.fixture
def server(
    services: Services,
    database_url: str,
    redis_url: str,
    listener: socket.socket,
    unix_listener: socket.socket,
    server_settings: dict[str, str],
    metrics_port: int,
    server_prefix: list[str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[subprocess.Popen[bytes]]:
    """With a test's parameter as further options."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": services.settings.secret_key,
        "WEB_CONCURRENCY": "1",
        "GATEWAY_METRICS_PORT": str(metrics_port),
        **server_settings,
    }
    command = ["-m", "gunicorn", "-c", "python:api.gunicorn"]
    descriptors = [listener.fileno(), unix_listener.fileno()]
    command += [f"-bfd://{one}" for one in descriptors] + getattr(request, "param", [])
    with (tmp_path / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen(
            [*server_prefix, sys.executable, *command],
            env=environment,
            stderr=log,
            pass_fds=descriptors,
        )
        yield process
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture
def client(
    server: subprocess.Popen[bytes], services: Services, socket_path: str, tmp_path: Path
) -> Iterator[httpx.Client]:
    _, key = make_key(services, "one", "jobs")
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=socket_path),
        base_url="http://gateway",
        headers={"Authorization": f"Bearer {key}"},
        timeout=PATIENCE_S,
    ) as made:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and server.poll() is None:
            try:
                made.get("/health")
                break
            except httpx.TransportError:
                time.sleep(0.05)
        else:
            pytest.fail((tmp_path / "gunicorn.log").read_text())
        yield made
