"""Flower: closed without a password, and it knows jobs by the ids that their owners know."""

from __future__ import annotations

from ast import literal_eval
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.stack import Stack, eventually, running_stack

TAKES_S = 1.5
TOLERANCE_S = 30.0
"""For a machine that is busy with something else."""
SLOW = f"{{{{simulate latency_ms={TAKES_S * 1000:.0f}}}}} Why?"
AGENTS = Path(__file__).parents[2] / "agents"
HUNG = "{{simulate hang}} Why?"


@pytest.fixture(autouse=True)
def listening(platform: Stack) -> None:
    """Flower is up; `up` does not wait for it."""
    await_flower(platform, workers=1)


def await_flower(platform: Stack, workers: int) -> None:
    """Until Flower has heard from so many workers: what was said before it listened, it does not know."""

    def heard() -> bool:
        try:
            answer = ask(platform, "/workers?json=1")
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and len(answer.json()["data"]) >= workers

    eventually(heard)


def ask(platform: Stack, path: str) -> httpx.Response:
    assert platform.flower is not None
    login = (platform.flower["user"], platform.flower["password"])
    return httpx.get(platform.flower["url"] + path, auth=login, timeout=60)


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
        assert httpx.get(platform.flower["url"] + path, timeout=60).status_code == 401


def test_flower_lists_the_worker(platform: Stack) -> None:
    eventually(lambda: "worker-" in ask(platform, "/workers").text)


@pytest.mark.parametrize("priority", ["normal", "bulk"])
def test_a_running_job_is_seen_by_its_id(platform: Stack, priority: str) -> None:
    job_ids = submit_three(platform, HUNG, priority)
    for job_id in job_ids:
        task_in(platform, job_id, "STARTED")
        assert job_id in ask(platform, f"/task/{job_id}").text
    for job_id in job_ids:
        platform.http.post(f"/api/jobs/{job_id}/cancel")
        task_in(platform, job_id, "REVOKED")


@pytest.mark.parametrize("priority", ["normal", "bulk"])
def test_a_job_is_seen_with_its_start_and_runtime(platform: Stack, priority: str) -> None:
    for job_id in submit_three(platform, SLOW, priority):
        started_at = platform.ended(job_id)["started_at"]
        seen = task_in(platform, job_id, "SUCCESS")
        since = datetime.fromisoformat(started_at).timestamp()
        assert abs(seen["started"] - since) < TOLERANCE_S
        assert TAKES_S <= seen["runtime"] < TAKES_S + TOLERANCE_S


@pytest.mark.parametrize("priority", ["normal", "bulk"])
def test_an_operator_ends_one_job_of_a_message(platform: Stack, priority: str) -> None:
    body = {"model": "openai/gpt-4o-mini", "input": HUNG, "priority": priority}
    job_ids = platform.submit_lines([body] * 20)["ids"]
    for job_id in job_ids:
        platform.in_state(job_id, "running")
    one, *others = job_ids
    revoke(platform, one)
    ended = platform.ended(one)
    assert (ended["state"], ended["error"]["message"]) == (
        "cancelled",
        "cancelled by an operator while it ran",
    )
    assert {platform.job(job_id)["state"] for job_id in others} == {"running"}
    for job_id in others:
        platform.http.post(f"/api/jobs/{job_id}/cancel")
    platform.all_ended(others)


def revoke(platform: Stack, job_id: str) -> None:
    """Flower's button."""
    assert platform.flower is not None
    login = (platform.flower["user"], platform.flower["password"])
    url = f"{platform.flower['url']}/api/task/revoke/{job_id}?terminate=true"
    assert httpx.post(url, auth=login, timeout=60).status_code == 200


def submit_three(platform: Stack, text: str, priority: str) -> list[str]:
    body = {"model": "openai/gpt-4o-mini", "input": text, "priority": priority}
    ids: list[str] = platform.submit_lines([body] * 3)["ids"]
    return ids


@pytest.mark.parametrize("priority", ["normal", "bulk"])
def test_a_job_is_a_row_that_tells_what_it_is_and_why_it_failed(
    platform: Stack, priority: str
) -> None:
    failing = "{{simulate status=400}} a private question"
    passing = "{{simulate status=500 times=1}} a private question"
    asked = {"model": "openai/gpt-4o-mini", "priority": priority}
    bodies = [{**asked, "input": failing}, {**asked, "input": passing}, {**asked, "input": "Why?"}]
    failed, retried, succeeded = platform.submit_lines(bodies)["ids"]
    task_in(platform, succeeded, "SUCCESS")
    again = task_in(platform, retried, "SUCCESS")
    assert again["retries"] == 1
    assert "provider_unavailable: " in again["exception"]
    told = task_in(platform, failed, "FAILURE")
    assert told["exception"].startswith("provider_refused: ")
    assert told["name"] == "completion"
    assert told["routing_key"] == f"openai.{priority}"
    assert told["worker"].startswith("worker-")
    about = {"model": "openai/gpt-4o-mini", "lane": f"openai.{priority}", "attempt": 1}
    assert literal_eval(told["kwargs"]) == about
    assert "private" not in ask(platform, "/api/tasks?limit=1000").text


def test_counts_are_those_of_the_jobs(tmp_path: Path) -> None:
    """Jobs of all lanes, alone and many a message: as many rows, and as many ends of each kind, as Postgres has."""
    with running_stack(tmp_path, "--workers", "2", AGENTS_DIR=str(AGENTS)) as platform:
        await_flower(platform, workers=2)
        models = ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "local/all-minilm-l6-v2"]
        priorities = ["high", "normal", "low", "bulk"]
        bodies = [
            {"model": model, "input": "Why?", "priority": priority}
            for model in models
            for priority in priorities
            for _ in range(3)
        ]
        bad = [{**body, "input": "{{simulate status=400}}"} for body in bodies[1:24:5]]
        once = [{**body, "input": "{{simulate status=500 times=1}}"} for body in bodies[2:24:5]]
        slow = [{**body, "input": HUNG} for body in bodies[0:24:5]]
        ended = platform.submit_lines([*bodies, *bad, *once])["ids"]
        ended.append(platform.submit(model=None, agent="summarizer")["id"])
        hung = platform.submit_lines(slow)["ids"]
        platform.all_ended(ended)
        for job_id in hung:
            platform.in_state(job_id, "running")
        eventually(lambda: total(platform, "active") == len(hung))
        for job_id in hung:
            platform.http.post(f"/api/jobs/{job_id}/cancel")
        states = Counter(job["state"] for job in platform.all_ended([*ended, *hung]))
        assert states == {"succeeded": 37 + 5, "failed": 5, "cancelled": 5}
        truth = {
            "task-succeeded": states["succeeded"],
            "task-failed": states["failed"],
            "task-revoked": states["cancelled"],
            "task-retried": len(once),
            "task-received": len(ended) + len(hung) + len(once),
            "active": 0,
        }
        eventually(lambda: {name: total(platform, name) for name in truth} == truth)
        assert literal_eval(task_in(platform, ended[-1], "SUCCESS")["kwargs"]) == {
            "model": "openai/gpt-4o-mini",
            "agent": "summarizer",
            "lane": "openai.normal",
            "attempt": 1,
        }
        rows = ask(platform, "/api/tasks?limit=1000").json()
        assert set(rows) == {*ended, *hung}
        shown = Counter(row["state"] for row in rows.values())
        assert shown == {"SUCCESS": 42, "FAILURE": 5, "REVOKED": 5}


def total(platform: Stack, name: str) -> int:
    """A column of Flower's table of workers, summed."""
    workers = ask(platform, "/workers?json=1").json()["data"]
    return sum(worker.get(name) or 0 for worker in workers)
