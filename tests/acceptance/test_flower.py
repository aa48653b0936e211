"""Flower: closed to strangers, and it knows jobs by the ids that their owners know."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.acceptance.stack import Stack, eventually

TAKES_S = 1.5
TOLERANCE_S = 30.0
"""For a machine that is busy with something else."""
SLOW = f"{{{{simulate latency_ms={TAKES_S * 1000:.0f}}}}} Why?"


def ask(platform: Stack, path: str) -> httpx.Response:
    assert platform.flower is not None
    login = (platform.flower["user"], platform.flower["password"])
    return httpx.get(platform.flower["url"] + path, auth=login, timeout=10)


def task_in(platform: Stack, job_id: str, state: str) -> dict[str, Any]:
    """What Flower's API tells of the job once it sees it in a state of Celery's."""

    def look() -> dict[str, Any] | None:
        answer = ask(platform, f"/api/task/info/{job_id}")
        task: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return task if task and task["state"] == state else None

    found = eventually(look)
    assert found is not None
    return found


def test_flower_wants_a_password(platform: Stack) -> None:
    assert platform.flower is not None
    for path in ("/", "/api/tasks", "/api/workers"):
        assert httpx.get(platform.flower["url"] + path).status_code == 401


def test_flower_lists_the_worker(platform: Stack) -> None:
    eventually(lambda: "worker-" in ask(platform, "/workers").text)


@pytest.mark.parametrize("priority", ["normal", "bulk"])
def test_a_running_job_is_seen_by_its_id_with_its_runtime(platform: Stack, priority: str) -> None:
    bodies = [
        {"model": "openai/gpt-4o-mini", "input": SLOW, "priority": priority} for _ in range(3)
    ]
    job_ids = platform.submit_lines(bodies)["ids"]
    for job_id in job_ids:
        running = platform.in_state(job_id, "running")
        since = datetime.fromisoformat(running["started_at"]).timestamp()
        assert abs(task_in(platform, job_id, "STARTED")["started"] - since) < TOLERANCE_S
        assert job_id in ask(platform, f"/task/{job_id}").text
    for job_id in job_ids:
        assert TAKES_S <= task_in(platform, job_id, "SUCCESS")["runtime"] < TAKES_S + TOLERANCE_S


@pytest.mark.parametrize("priority", ["normal", "bulk"])
def test_a_failed_job_is_no_success(platform: Stack, priority: str) -> None:
    bad = {
        "model": "openai/gpt-4o-mini",
        "input": "{{simulate status=400}} Why?",
        "priority": priority,
    }
    good = {"model": "openai/gpt-4o-mini", "input": "Why?", "priority": priority}
    failed, succeeded = platform.submit_lines([bad, good])["ids"]
    task_in(platform, succeeded, "SUCCESS")
    task_in(platform, failed, "FAILURE")
