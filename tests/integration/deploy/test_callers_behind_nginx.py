"""Callers who go away while nginx and a real gateway work for them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploy.validate.servers import free_port
from factory import metrics
from factory.simulator import HostedSimulator
from factory.store import keys, projects
from factory.store.database import rows
from tests.integration.api.conftest import exported
from tests.integration.deploy.front import Front, running_front
from tests.integration.deploy.http2 import connected
from tests.integration.reliability.rig import (
    READY_S,
    SECRET_KEY,
    Rig,
    eventually,
    running_rig,
    status_of,
)

JOB = {"model": "openai/gpt-4o-mini", "input": "Why is the sky blue?"}
LINES = 2_000
STREAMS = 40
WAIT_S = 60
GONE_S = 45.0
"""Shorter than `WAIT_S`: nobody is let go because the time is over."""
BULK = "/api/jobs/bulk"


@dataclass(frozen=True)
class Stand:
    """nginx before one gateway; no job is ever run."""

    rig: Rig
    front: Front
    key: str

    def gauge(self, name: str) -> float:
        """One of the gateway's own, which it reads each second."""
        found = exported(self.rig.settings.gateway_metrics_port)
        return sum(sample.value for sample in found if sample.name == name)

    def jobs(self) -> int:
        with self.rig.services.database.transaction() as tx:
            return int(rows(tx, "SELECT count(*) AS n FROM jobs")[0].n)

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        with self.front.client() as client:
            client.headers["Authorization"] = f"Bearer {self.key}"
            yield client


@pytest.fixture
def stand(
    tmp_path: Path, database_url: str, redis_url: str, simulator: HostedSimulator
) -> Iterator[Stand]:
    port = free_port()
    with running_rig(tmp_path, database_url, redis_url, simulator) as rig:
        own = {"trusted_proxies": 1, "gateway_metrics_port": free_port()}
        rig.settings = rig.settings.model_copy(update=own)
        bind = ("-c", "python:api.gunicorn", "-b", f"127.0.0.1:{port}")
        rig.start("gunicorn", *bind, WEB_CONCURRENCY="1")
        with rig.services.database.transaction() as tx:
            project = projects.ensure(tx, "rig")
            key = keys.create(tx, SECRET_KEY, project.id, "test", ["jobs"])
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            eventually(lambda: status_of(client, "/health") == 200, READY_S)
        with running_front((port, port), {}) as front:
            yield Stand(rig, front, key)


def test_requests_that_are_taken_back_leave_nobody_parked(stand: Stand) -> None:
    with stand.client() as client:
        job_id = client.post("/api/jobs", json=JOB).json()["id"]
    asked = {"authorization": f"Bearer {stand.key}", "prefer": f"wait={WAIT_S}"}
    with connected(stand.front) as connection:
        streams = [connection.get(f"/api/jobs/{job_id}", asked) for _ in range(STREAMS)]
        eventually(lambda: stand.gauge(metrics.HTTP_WAITING) == STREAMS, GONE_S)
        for stream in streams:
            connection.reset(stream)
        eventually(lambda: stand.gauge(metrics.HTTP_WAITING) == 0, GONE_S)
        eventually(lambda: stand.gauge(metrics.HTTP_CONNECTIONS) < STREAMS / 2, GONE_S)
        assert connection.is_ok(connection.get("/health", {}))


def test_a_bulk_that_is_not_sent_to_its_end_reaches_no_gateway(stand: Stand) -> None:
    body = _lines()
    _send_and_go(stand, len(body), body[: len(body) // 2])
    eventually(lambda: BULK in stand.front.log())
    assert stand.jobs() == 0
    counted = exported(stand.rig.settings.gateway_metrics_port)
    assert not [sample for sample in counted if sample.labels.get("route") == BULK]


def test_a_bulk_whose_caller_does_not_hear_the_answer_is_accepted_once(stand: Stand) -> None:
    body = _lines()
    _send_and_go(stand, len(body), body)
    eventually(lambda: BULK in stand.front.log())
    headers = {"Idempotency-Key": "bulk-1", "Content-Type": "application/x-ndjson"}
    with stand.client() as client:
        again = eventually(lambda: _accepted(client.post(BULK, content=body, headers=headers)))
    assert again.json()["rejected"] == []
    assert stand.jobs() == LINES


def _accepted(answer: httpx.Response) -> httpx.Response | None:
    """None while the first request is still being answered."""
    assert answer.status_code in (202, 409), answer.text
    return answer if answer.status_code == 202 else None


def _lines() -> bytes:
    return (json.dumps(JOB).encode() + b"\n") * LINES


def _send_and_go(stand: Stand, length: int, sent: bytes) -> None:
    """Says how long the body is, sends so much of it and is gone."""
    head = (
        f"POST {BULK} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        f"Authorization: Bearer {stand.key}\r\nIdempotency-Key: bulk-1\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    address = ("127.0.0.1", stand.front.https_port)
    with (
        socket.create_connection(address, READY_S) as plain,
        stand.front.trust().wrap_socket(plain) as sock,
    ):
        sock.sendall(head.encode() + sent)
