"""The gateway as it is served: gunicorn, its threads, its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from factory.services import Services
from factory.store.database import rows

from .conftest import JOB, make_key

PATIENCE_S = 30.0


@pytest.fixture
def socket_path() -> Iterator[str]:
    """Short, as a socket's path must be."""
    with TemporaryDirectory(prefix="gw") as directory:
        yield str(Path(directory, "s"))


@pytest.fixture
def server(
    services: Services, database_url: str, redis_url: str, socket_path: str, tmp_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": services.settings.secret_key,
        "WEB_CONCURRENCY": "1",
    }
    command = ["-m", "gunicorn", "-c", "python:api.gunicorn", "-b", f"unix:{socket_path}"]
    with (tmp_path / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *command], env=environment, stderr=log)
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


def test_a_job_is_accepted_over_the_wire(client: httpx.Client) -> None:
    answer = client.post("/api/jobs", json=JOB)

    assert answer.status_code == 202
    assert client.get(answer.headers["Location"]).json() == answer.json()


def test_a_body_too_large_is_told_and_the_next_request_served(client: httpx.Client) -> None:
    answer = client.post("/api/jobs", json={**JOB, "input": "x" * 2_000_000})

    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert client.get("/health").status_code == 200


def test_a_body_of_unknown_length_is_limited_too(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    headers = {"Content-Type": "application/json"}
    assert client.post("/api/jobs", content=endless(), headers=headers).status_code == 413


def test_a_bulk_that_is_cut_off_is_not_accepted_in_part(
    client: httpx.Client, services: Services, socket_path: str
) -> None:
    line = json.dumps(JOB).encode() + b"\n"
    head = (
        "POST /api/jobs/bulk HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/x-ndjson\r\n"
        f"Authorization: {client.headers['Authorization']}\r\nContent-Length: {2 * len(line)}\r\n\r\n"
    )
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(socket_path)
        connection.sendall(head.encode() + line)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").readline()

    assert b" 400 " in answer
    assert count(services, "jobs") == 0


def test_waiting_requests_leave_threads_for_others(client: httpx.Client) -> None:
    def submit(_: int) -> int:
        return client.post("/api/jobs", json=JOB, headers={"Prefer": "wait=3"}).status_code

    with ThreadPoolExecutor(20) as threads:
        waiting = threads.map(submit, range(20))
        started = time.monotonic()
        assert client.get("/ready").status_code == 200
        assert time.monotonic() - started < 2.5
        assert set(waiting) == {202}


def test_the_end_answers_who_waits_and_writes_the_counts(
    client: httpx.Client, server: subprocess.Popen[bytes], services: Services
) -> None:
    def wait() -> httpx.Response:
        return client.post("/api/jobs", json=JOB, headers={"Prefer": "wait=60"})

    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(wait)
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and count(services, "jobs") == 0:
            time.sleep(0.05)
        server.send_signal(signal.SIGTERM)
        assert answer.result(10).status_code == 202
    assert server.wait(10) == 0
    assert count(services, "counters") > 0


def count(services: Services, table: str) -> int:
    with services.database.transaction() as tx:
        return int(rows(tx, f"SELECT count(*) AS n FROM {table}")[0].n)


def test_the_gateway_imports_no_client_of_providers(database_url: str, redis_url: str) -> None:
    program = (
        "import sys; import api.wsgi;"
        "print([name for name in ('litellm', 'celery', 'aiohttp', 'openai', 'alembic')"
        " if name in sys.modules])"
    )
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": "k" * 32,
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
