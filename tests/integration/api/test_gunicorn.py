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
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from factory.domain.job import public_id
from factory.services import Services
from factory.store.database import rows
from tests.integration.store.samples import ask

from .conftest import JOB, PATIENCE_S, end_job, eventually, exported


def test_a_job_is_accepted_over_the_wire(client: httpx.Client) -> None:
    answer = client.post("/api/jobs", json=JOB)

    assert answer.status_code == 202
    assert answer.json().items() <= client.get(answer.headers["Location"]).json().items()


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


def test_waiting_requests_leave_threads_for_others(
    client: httpx.Client, services: Services
) -> None:
    def submit(_: int) -> int:
        return client.post("/api/jobs", json=JOB, headers={"Prefer": "wait=60"}).status_code

    with ThreadPoolExecutor(20) as threads:
        waiting = [threads.submit(submit, number) for number in range(20)]
        eventually(lambda: count(services, "jobs") == 20)
        assert client.get("/ready").status_code == 200
        assert not any(request.done() for request in waiting)
        for job in ask(services, "SELECT id FROM jobs"):
            end_job(services, public_id(job.id))
        assert {request.result() for request in waiting} == {200}


def test_the_end_answers_who_waits(
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
        assert answer.result(60).status_code == 202
    assert server.wait(60) == 0


THREADS = 8
PARKED = 300
few_threads = pytest.mark.parametrize("server", [["--threads", str(THREADS)]], indirect=True)


@contextmanager
def parked(client: httpx.Client, socket_path: str, job_id: str) -> Iterator[list[socket.socket]]:
    """Clients that wait for the job, each on a connection of its own."""
    head = (
        f"GET /api/jobs/{job_id} HTTP/1.1\r\nHost: gateway\r\nPrefer: wait=60\r\n"
        f"Authorization: {client.headers['Authorization']}\r\n\r\n"
    )
    with ExitStack() as stack:
        lines = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(PARKED)]
        for line in lines:
            line.settimeout(PATIENCE_S)
            line.connect(socket_path)
            line.sendall(head.encode())
        yield lines


def whole(line: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    parts = []
    while part := line.recv(65536):
        parts.append(part)
    return b"".join(parts)


def answered(metrics_port: int) -> dict[str, int]:
    """Reads of a job that were counted, by status."""
    return {
        one.labels["status"]: int(one.value)
        for one in exported(metrics_port)
        if one.name == "http_requests_total" and one.labels["route"] == "/api/jobs/<job_id>"
    }


def waiting(metrics_port: int) -> float:
    """Requests that are held now."""
    return sum(one.value for one in exported(metrics_port) if one.name == "http_requests_waiting")


@few_threads
def test_hundreds_wait_and_hold_no_thread(
    client: httpx.Client,
    services: Services,
    server: subprocess.Popen[bytes],
    socket_path: str,
    metrics_port: int,
) -> None:
    job_id = client.post("/api/jobs", json=JOB).json()["id"]
    with parked(client, socket_path, job_id) as lines:
        eventually(lambda: waiting(metrics_port) == PARKED)
        for _ in range(20):
            assert client.post("/api/jobs", json=JOB).status_code == 202
        assert client.get("/ready").status_code == 200
        end_job(services, job_id, output={"text": "2, 3, 5"})
        answers = [whole(line) for line in lines]

    heads, _, bodies = zip(*(answer.partition(b"\r\n\r\n") for answer in answers), strict=True)
    assert {head.splitlines()[0] for head in heads} == {b"HTTP/1.1 200 OK"}
    assert len({head.lower().split(b"x-request-id: ")[1].split()[0] for head in heads}) == PARKED
    for name in (b"\r\nPreference-Applied: wait=60", b"\r\nX-Content-Type-Options: nosniff"):
        assert sum(name in head for head in heads) == PARKED
    assert {json.loads(body)["result"]["text"] for body in bodies} == {"2, 3, 5"}
    eventually(lambda: answered(metrics_port) == {"200": PARKED})
    server.terminate()
    assert server.wait(PATIENCE_S) == 0


@few_threads
def test_clients_that_leave_are_forgotten_and_the_end_answers_the_others(
    client: httpx.Client, server: subprocess.Popen[bytes], socket_path: str, metrics_port: int
) -> None:
    job_id = client.post("/api/jobs", json=JOB).json()["id"]
    with parked(client, socket_path, job_id) as lines:
        leaving, staying = lines[:100], lines[100:]
        for line in leaving:
            line.close()
        eventually(lambda: answered(metrics_port) == {"499": len(leaving)})
        server.send_signal(signal.SIGTERM)
        answers = [whole(line) for line in staying]

    assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in answers)
    assert {json.loads(answer.partition(b"\r\n\r\n")[2])["state"] for answer in answers} == {
        "queued"
    }
    assert server.wait(PATIENCE_S) == 0


def test_who_waits_with_a_validator_is_told_that_nothing_changed(client: httpx.Client) -> None:
    place = client.post("/api/jobs", json=JOB).headers["Location"]
    headers = {"Prefer": "wait=1", "If-None-Match": client.get(place).headers["ETag"]}
    answer = client.get(place, headers=headers)

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["Preference-Applied"] == "wait=1"


def test_an_answer_larger_than_a_sockets_buffer_arrives_whole(
    client: httpx.Client, services: Services
) -> None:
    job_id = client.post("/api/jobs", json=JOB).json()["id"]
    text = "prime " * 1_000_000
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.get, f"/api/jobs/{job_id}", headers={"Prefer": "wait=30"})
        end_job(services, job_id, output={"text": text})
        assert waiting.result().json()["result"]["text"] == text


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
        "SECRET_KEY": "test-secret-key-of-32-characters!",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
