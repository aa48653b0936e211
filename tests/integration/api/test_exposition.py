"""The gateway's own metrics: of all its processes at one address."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.samples import Sample

from api.exposition import PREFIX, Exposition
from factory.domain.job import public_id
from factory.services import Services
from tests.integration.store.samples import ask

from .conftest import JOB, PATIENCE_S, end_job, eventually, exported

REQUESTS = "http_requests_total"
READS = {"method": "GET", "route": "/api/jobs/<job_id>", "status": "404"}


@pytest.fixture
def server_settings() -> dict[str, str]:
    return {"WEB_CONCURRENCY": "2"}


def value(port: int, name: str, **labels: str) -> float:
    """The sum of the samples that have these labels."""
    return sum(
        one.value
        for one in exported(port)
        if one.name == name and labels.items() <= one.labels.items()
    )


def read_often(client: httpx.Client, times: int) -> None:
    """On a connection each, so that each process gets some."""
    for place in range(times):
        path = f"/api/jobs/job_{place:032x}"
        assert client.get(path, headers={"Connection": "close"}).status_code == 404


def test_one_scrape_tells_of_all_processes_also_of_one_that_was_killed(
    client: httpx.Client, server: subprocess.Popen[bytes], metrics_port: int
) -> None:
    read_often(client, 60)
    processes = psutil.Process(server.pid).children()
    assert len(processes) == 2
    eventually(lambda: value(metrics_port, REQUESTS, **READS) == 60)

    os.kill(processes[0].pid, signal.SIGKILL)
    eventually(lambda: not processes[0].is_running())
    read_often(client, 20)
    eventually(lambda: value(metrics_port, REQUESTS, **READS) == 80)
    timed = "http_request_duration_seconds_count"
    eventually(lambda: value(metrics_port, timed, status_class="4xx") == 80)


def routes_of(found: list[Sample]) -> set[str]:
    return {one.labels["route"] for one in found if one.name == REQUESTS}


def test_routes_are_templates_and_no_label_holds_an_id(
    client: httpx.Client, metrics_port: int
) -> None:
    job_id = client.post("/api/jobs", json=JOB).json()["id"]
    client.get(f"/api/jobs/{job_id}")
    client.get("/nobody/knows/this/path")

    eventually(lambda: value(metrics_port, REQUESTS, route="unmatched") == 1)
    routes = {"/health", "/api/jobs", "/api/jobs/<job_id>", "unmatched"}
    eventually(lambda: routes_of(exported(metrics_port)) >= routes)
    found = exported(metrics_port)
    assert routes_of(found) == routes
    assert not any(job_id in text for one in found for text in one.labels.values())


def test_durations_have_the_buckets_that_the_targets_need(
    client: httpx.Client, metrics_port: int
) -> None:
    client.post("/api/jobs", json=JOB)

    timed = "http_request_duration_seconds_count"
    eventually(lambda: value(metrics_port, timed, route="/api/jobs") == 1)
    bounds = [
        float(one.labels["le"])
        for one in exported(metrics_port)
        if one.name == "http_request_duration_seconds_bucket" and one.labels["route"] == "/api/jobs"
    ]
    assert bounds == sorted(bounds)
    assert {0.5, 10.0, float("inf")} <= set(bounds)


def test_who_waits_is_in_flight_and_is_not_timed(
    client: httpx.Client, services: Services, metrics_port: int
) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.post, "/api/jobs", json=JOB, headers={"Prefer": "wait=60"})
        eventually(lambda: value(metrics_port, "http_requests_waiting") == 1)
        eventually(lambda: value(metrics_port, "http_requests_in_flight") == 1)
        eventually(lambda: value(metrics_port, "http_connections") >= 1)
        [job] = ask(services, "SELECT id FROM jobs")
        end_job(services, public_id(job.id))
        assert waiting.result().status_code == 200
    # Counted once the answer has been sent.
    eventually(lambda: value(metrics_port, REQUESTS, route="/api/jobs", status="200") == 1)
    assert value(metrics_port, "http_request_duration_seconds_count", route="/api/jobs") == 0
    eventually(lambda: value(metrics_port, "http_requests_in_flight") == 0)


def test_the_pool_is_shown_for_both_processes(client: httpx.Client, metrics_port: int) -> None:
    def both() -> bool:
        read_often(client, 5)
        return value(metrics_port, "database_pool_size") == 20

    eventually(both)
    assert 0 <= value(metrics_port, "database_pool_used") <= 20


def directories(server: subprocess.Popen[bytes]) -> set[Path]:
    """Where its processes have their values."""
    return {
        Path(file.path).parent
        for process in psutil.Process(server.pid).children()
        for file in process.open_files()
        if PREFIX in file.path
    }


@pytest.mark.usefixtures("client")
def test_the_end_leaves_nothing(server: subprocess.Popen[bytes]) -> None:
    eventually(lambda: len(directories(server)) == 1)
    (directory,) = directories(server)
    server.terminate()
    assert server.wait(PATIENCE_S) == 0
    assert not directory.exists()


@pytest.fixture
def taken(metrics_port: int) -> Iterator[socket.socket]:
    """Somebody else has the port."""
    with socket.create_server(("127.0.0.1", metrics_port)) as listener:
        yield listener


@pytest.mark.usefixtures("taken")
def test_a_port_that_is_taken_is_told_and_requests_are_served(
    client: httpx.Client, tmp_path: Path
) -> None:
    assert client.post("/api/jobs", json=JOB).status_code == 202
    eventually(lambda: "GATEWAY_METRICS_PORT" in (tmp_path / "gunicorn.log").read_text())


class TestWithoutMetrics:
    @pytest.fixture
    def server_settings(self) -> dict[str, str]:
        return {"ENABLE_METRICS": "false"}

    def test_nothing_is_counted_nor_served(self, client: httpx.Client, metrics_port: int) -> None:
        assert client.post("/api/jobs", json=JOB).status_code == 202
        assert exported(metrics_port) == []


def test_a_directory_that_a_killed_gateway_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.exposition._memory_or_disk", lambda: tmp_path)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    left, young, held = (tmp_path / f"{PREFIX}{name}" for name in ("left", "young", "held"))
    for path in (left, young, held):
        path.mkdir()
    exposition = Exposition("127.0.0.1", 1)
    lock = os.open(held, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in (left, held):
            os.utime(path, (1, 1))
        exposition.open()
        assert (left.exists(), young.exists(), held.exists()) == (False, True, True)
    finally:
        os.close(lock)
        exposition.close()
