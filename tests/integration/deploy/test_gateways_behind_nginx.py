"""Two real gateways behind nginx, of which one dies."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from deploy.validate.servers import free_port, listens
from factory.embedded.child import Child
from factory.simulator import HostedSimulator
from factory.store import keys, projects
from tests.integration.deploy.front import OTHER_CLIENT, running_front
from tests.integration.reliability.rig import (
    READY_S,
    SECRET_KEY,
    Rig,
    eventually,
    running_rig,
    status_of,
)

JOB = {"model": "openai/gpt-4o-mini", "input": "Why is the sky blue?"}
REQUESTS = 30
FORGED = {
    "X-Forwarded-For": "192.0.2.66, 198.51.100.7",
    "X-Real-IP": "192.0.2.66",
    "Forwarded": "for=192.0.2.66",
}
"""One hop is believed, and that one is nginx."""


def test_a_killed_gateway_is_left_out_and_logs_name_the_client(
    tmp_path: Path, database_url: str, redis_url: str, simulator: HostedSimulator
) -> None:
    ports = free_port(), free_port()
    with running_rig(tmp_path, database_url, redis_url, simulator) as rig:
        proxied = {"trusted_proxies": 1, "log_dir": str(tmp_path)}
        rig.settings = rig.settings.model_copy(update=proxied)
        first, _ = (_gateway(rig, port) for port in ports)
        for port in ports:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                eventually(lambda client=client: status_of(client, "/health") == 200, READY_S)
        with running_front(ports, {}) as front, front.client(OTHER_CLIENT) as client:
            client.headers.update({"Authorization": f"Bearer {_key(rig)}", **FORGED})
            assert client.post("/api/jobs", json=JOB).status_code == 202
            first.kill()
            # A POST that it has begun to read is not sent again, and must fail.
            assert first.wait(READY_S)
            eventually(lambda: not listens(ports[0]))  # its workers go after it
            found = [client.post("/api/jobs", json=JOB).status_code for _ in range(REQUESTS)]
            found += [client.get("/api/jobs").status_code for _ in range(REQUESTS)]
        assert set(found) == {202, 200}
        eventually(lambda: len(_visits(tmp_path)) >= 2 * REQUESTS)
        assert {visit["client"] for visit in _visits(tmp_path)} == {OTHER_CLIENT}


def _gateway(rig: Rig, port: int) -> Child:
    bind = ("-c", "python:api.gunicorn", "-b", f"127.0.0.1:{port}")
    return rig.start("gunicorn", *bind, WEB_CONCURRENCY="1")


def _key(rig: Rig) -> str:
    with rig.services.database.transaction() as tx:
        project = projects.ensure(tx, "rig")
        return keys.create(tx, SECRET_KEY, project.id, "test", ["jobs"])


def _visits(directory: Path) -> list[dict[str, object]]:
    lines = map(json.loads, (directory / "gateway.log").read_text().splitlines())
    return [line for line in lines if line["logger"] == "api.access"]
