"""Processes die or are told to go while jobs run; jobs end all the same, and calls are not repeated in vain."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from factory.domain.lanes import all_lanes
from factory.embedded.home import Home
from tests.acceptance.stack import Stack, eventually, running_stack

RECOVERS_S = 150.0
"""A lease of 15 s, and what the second attempt takes."""
NOTICED_S = 60.0
"""The other workers look once a second, if they get the CPU."""
CREW = 2


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two of each kind, to kill one."""
    options = ("--workers", str(CREW), "--dispatchers", "2", "--no-flower")
    with running_stack(tmp_path_factory.mktemp("processes"), *options) as stack:
        yield stack


@pytest.fixture
def crew(stack: Stack) -> list[dict[str, Any]]:
    """The workers, all of them there again."""
    return eventually(lambda: found if len(found := stack.workers()) == CREW else [])


def holder_of_the_call(stack: Stack, job_id: str) -> int:
    """The process that waits for the job's provider; there is no other job."""
    eventually(lambda: stack.calls(job_id))
    (pid,) = [worker["pid"] for worker in stack.workers() if worker["running"]]
    return int(pid)


def jobs_of_all(stack: Stack, text: str) -> list[str]:
    """Jobs that a provider was called for, some on each worker: one may be listed before it takes any."""
    job_ids: list[str] = []
    while not job_ids or not all(worker["running"] for worker in stack.workers()):
        body = {"model": "openai/gpt-4o-mini", "input": text}
        job_ids += stack.submit_lines([body] * 100)["ids"]
        wanted = set(job_ids)
        eventually(lambda wanted=wanted: stack.calls_by_job().keys() >= wanted)  # type: ignore[misc]
    return job_ids


@pytest.mark.usefixtures("crew")
def test_a_killed_workers_jobs_are_done_by_another(stack: Stack) -> None:
    job_ids = jobs_of_all(stack, "{{simulate latency_ms=20000..21000}} Why?")
    killed = stack.workers()[0]
    os.kill(killed["pid"], signal.SIGKILL)
    eventually(lambda: f"the process of worker {killed['id']} is gone" in stack.log(), NOTICED_S)
    jobs = stack.all_ended(job_ids, RECOVERS_S)
    assert {job["state"] for job in jobs} == {"succeeded"}
    assert {job["attempt"] for job in jobs} == {1, 2}
    calls = stack.calls_by_job()
    for job in jobs:
        # The provider answered each call but those that died with their worker.
        assert (calls[job["id"]], job["unknown_cost_calls"]) == (job["attempt"], job["attempt"] - 1)
        assert (job["cost_usd"] is None) == (job["attempt"] == 2)


def test_a_worker_that_is_told_to_go_finishes_its_call(
    stack: Stack, crew: list[dict[str, Any]]
) -> None:
    job_id = stack.submit("{{simulate latency_ms=12000}} Why?")["id"]
    leaver = holder_of_the_call(stack, job_id)
    os.kill(leaver, signal.SIGTERM)
    job = stack.ended(job_id)
    assert (job["state"], job["attempt"], job["unknown_cost_calls"]) == ("succeeded", 1, 0)
    assert stack.calls(job_id) == 1
    stayers = {worker["pid"] for worker in crew} - {leaver}

    def replaced() -> bool:
        pids = {worker["pid"] for worker in stack.workers()}
        return len(pids) == CREW and stayers < pids and leaver not in pids

    eventually(replaced)


def test_a_stop_with_a_limit_cuts_calls_that_hang_and_loses_no_job(tmp_path: Path) -> None:
    with running_stack(tmp_path, "--no-flower", DRAIN_S="2") as stack:
        job_id = stack.submit("{{simulate hang}} Why?")["id"]
        eventually(lambda: stack.calls(job_id))
    # It has ended within two minutes, by SIGTERM, and gave the job back.
    assert "1 messages were cut" in stack.log()
    with running_stack(tmp_path, "--no-flower", DRAIN_S="2") as again:
        assert again.job(job_id)["finished_at"] is None
        # Cancelled at once, or asked to stop where a worker has it already.
        assert again.http.post(f"/api/jobs/{job_id}/cancel").status_code in (200, 202)
        assert again.ended(job_id)["state"] == "cancelled"


def test_one_dispatcher_is_enough(stack: Stack) -> None:
    eventually(lambda: len(stack.programs("workers.dispatcher")) == 2)
    stack.programs("workers.dispatcher")[0].kill()
    assert stack.ended(stack.submit()["id"])["state"] == "succeeded"


def test_a_dispatcher_that_dies_is_replaced(stack: Stack) -> None:
    before = eventually(lambda: stack.programs("workers.dispatcher"))
    for process in before:
        process.kill()
    assert stack.run()["state"] == "succeeded"


def test_jobs_go_on_when_the_broker_has_lost_everything(
    stack: Stack, crew: list[dict[str, Any]]
) -> None:
    state = Home(stack.home).running_state()
    assert state is not None
    pids = [worker["pid"] for worker in crew]
    with Redis.from_url(state.redis_url) as redis:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            job_ids = stack.submit_lines([{"model": "openai/gpt-4o-mini", "input": "Why?"}] * 20)
            eventually(lambda: sum(redis.llen(lane) for lane in all_lanes()))
            redis.flushall()
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
    jobs = stack.all_ended(job_ids["ids"])
    assert {(job["state"], job["attempt"]) for job in jobs} == {("succeeded", 1)}
