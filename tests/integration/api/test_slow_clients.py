"""Clients that send or read slowly, or not at all, cost themselves: the gateway has four threads here."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from factory.services import Services

from .conftest import JOB, PATIENCE_S, end_job, eventually

THREADS = 4
MANY = 220
LARGE = "prime " * 1_000_000
four_threads = pytest.mark.parametrize("server", [["--threads", str(THREADS)]], indirect=True)
impatient = pytest.mark.parametrize(
    "server_settings", [{"HEADER_TIMEOUT_S": "4", "BODY_TIMEOUT_S": "4"}]
)


@pytest.fixture
def server_settings() -> dict[str, str]:
    return dict.fromkeys(("HEADER_TIMEOUT_S", "BODY_TIMEOUT_S", "SEND_TIMEOUT_S"), str(PATIENCE_S))


@contextmanager
def connections(
    listener: socket.socket, number: int, first: bytes
) -> Iterator[list[socket.socket]]:
    """Clients that send these bytes, over TCP."""
    with ExitStack() as stack:
        lines = []
        for _ in range(number):
            line = stack.enter_context(socket.socket())
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(PATIENCE_S)
            line.connect(listener.getsockname())
            line.sendall(first)
            lines.append(line)
        yield lines


def whole(line: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    parts = []
    while part := line.recv(65536):
        parts.append(part)
    return b"".join(parts)


def post(client: httpx.Client, fields: str, path: str = "/api/jobs") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
        f"Authorization: {client.headers['Authorization']}\r\n{fields}\r\n\r\n"
    ).encode()


def serves(client: httpx.Client) -> None:
    """Others are served while the clients of this test are there."""
    for _ in range(10):
        assert client.post("/api/jobs", json=JOB).status_code == 202


def assert_cut(line: socket.socket) -> None:
    head, _, body = whole(line).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 "), head
    assert b"application/problem+json" in head
    assert b"X-Request-Id: req_" in head
    assert b"did not arrive in time" in body


@four_threads
@impatient
@pytest.mark.parametrize("first", [b"", b"P", b"POST /api/jobs HTTP/1.1\r\nHost: x\r\nA: "])
def test_unfinished_heads_hold_no_thread(
    client: httpx.Client, listener: socket.socket, first: bytes
) -> None:
    with connections(listener, MANY, first) as lines:
        serves(client)
        if first:
            assert_cut(lines[0])
            assert_cut(lines[-1])
        serves(client)


@four_threads
@impatient
@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ("Content-Length: 100", "/api/jobs"),
        ("Content-Length: 100", "/api/jobs/bulk"),
        ("Transfer-Encoding: chunked", "/api/jobs"),
        ("Content-Length: 100", "/health"),
    ],
)
def test_unfinished_bodies_hold_no_thread(
    client: httpx.Client, listener: socket.socket, fields: str, path: str
) -> None:
    with connections(listener, MANY, post(client, fields, path)) as lines:
        for line in lines:
            line.sendall(b"1")
        serves(client)
        # One byte now and then changes nothing.
        for _ in range(3):
            with suppress(ConnectionError):  # it may be cut by now
                lines[0].sendall(b"0")
            time.sleep(0.2)
        if "chunked" not in fields:  # which may be as long as the limit, and has the time for it
            assert_cut(lines[-1])
            assert_cut(lines[1])


@four_threads
def test_answers_that_are_not_read_hold_no_thread(
    client: httpx.Client, listener: socket.socket, services: Services
) -> None:
    job_id = client.post("/api/jobs", json=JOB).json()["id"]
    end_job(services, job_id, output={"text": LARGE})
    read = post(client, "Connection: close", f"/api/jobs/{job_id}").replace(b"POST", b"GET", 1)
    with connections(listener, 40, read) as lines:
        assert all(line.recv(17).startswith(b"HTTP/1.1 200 OK") for line in lines)
        serves(client)
        # Who reads late gets all of it.
        with socket.create_connection(listener.getsockname(), PATIENCE_S) as late:
            late.sendall(read)
            serves(client)
            assert LARGE.encode() in whole(late)


@pytest.mark.parametrize(
    "server", [["--threads", str(THREADS), "--worker-connections", "40"]], indirect=True
)
def test_the_oldest_idle_connection_makes_room(
    client: httpx.Client, listener: socket.socket
) -> None:
    with connections(listener, 200, b"") as lines:
        with socket.create_connection(listener.getsockname(), PATIENCE_S) as late:
            late.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert late.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert lines[0].recv(1) == b""
        serves(client)


@four_threads
@impatient
@pytest.mark.parametrize("server_prefix", [["sh", "-c", 'ulimit -n 400; exec "$@"', "sh"]])
def test_a_flood_up_to_the_descriptor_limit_ends_nothing(
    client: httpx.Client, listener: socket.socket, server: subprocess.Popen[bytes]
) -> None:
    with connections(listener, 600, b"GET / HTT"):
        serves(client)
        with socket.create_connection(listener.getsockname(), PATIENCE_S) as late:
            late.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert late.recv(65536).startswith(b"HTTP/1.1 200 OK")
    serves(client)
    assert server.poll() is None


@four_threads
def test_half_closed_connections_are_answered_and_closed(
    client: httpx.Client, listener: socket.socket
) -> None:
    with connections(listener, 50, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n") as lines:
        for line in lines:
            line.shutdown(socket.SHUT_WR)
        assert all(whole(line).startswith(b"HTTP/1.1 200 OK") for line in lines)
    with connections(listener, 50, b"GET /health HTTP/1.1\r\nHo") as lines:
        for line in lines:
            line.shutdown(socket.SHUT_WR)
        assert all(whole(line).startswith(b"HTTP/1.1 400 ") for line in lines)
    with connections(listener, 50, b"") as lines:
        for line in lines:
            line.shutdown(socket.SHUT_WR)
        assert all(whole(line) == b"" for line in lines)


@four_threads
def test_the_end_waits_for_a_request_on_its_way_and_not_for_idle_ones(
    client: httpx.Client, listener: socket.socket, server: subprocess.Popen[bytes]
) -> None:
    head, body = b"GET /health HTTP/1.1\r\nHost: x\r\n", b"\r\n"
    with connections(listener, 20, b""), connections(listener, 20, head) as lines:
        # A listener's connections are accepted in the order in which they came.
        host, port = listener.getsockname()
        httpx.get(f"http://{host}:{port}/health", timeout=PATIENCE_S)
        client.get("/health")
        server.send_signal(signal.SIGTERM)
        eventually(lambda: client.get("/health").headers.get("Connection") == "close")
        for line in lines:
            line.sendall(body)
        answers = [whole(line) for line in lines]
        assert server.wait(PATIENCE_S) == 0

    assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in answers)
    assert all(b"Connection: close" in answer for answer in answers)
