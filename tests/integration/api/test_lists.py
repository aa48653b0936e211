"""Queues, workers, agents: what runs, and what may be named."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from apiflask import APIFlask

from factory.domain.job import new_id, parse_id
from factory.domain.lanes import all_lanes
from factory.services import Services
from factory.store import agents, leases, moves
from factory.store.database import run
from tests.integration.store.samples import waits_for_locks

from .conftest import JOB, MODEL, Caller, end_job, eventually

MANY = 12


def test_queues_count_the_projects_own_jobs(
    caller: Caller, other_caller: Caller, services: Services
) -> None:
    first = caller.post("/api/jobs", JOB).get_json()["id"]
    caller.post("/api/jobs", JOB)
    other_caller.post("/api/jobs", JOB)
    with services.database.transaction() as tx:
        moves.claim(tx, new_id(), [parse_id(first)])

    body = caller.get("/api/queues").get_json()

    assert [queue["lane"] for queue in body["data"]] == list(all_lanes())
    queues = {queue["lane"]: queue for queue in body["data"]}
    assert (queues["openai.normal"]["queued"], queues["openai.normal"]["running"]) == (1, 1)
    assert queues["openai.normal"]["oldest_age_s"] >= 0
    assert queues["openai.high"]["queued"] == 0


def test_workers_are_listed_with_their_load(caller: Caller, services: Services) -> None:
    worker_id = new_id()
    job_id = caller.post("/api/jobs", JOB).get_json()["id"]
    with services.database.transaction() as tx:
        leases.register(tx, worker_id, hostname="a", pid=7, lanes=["openai.normal"], slots=10)
        moves.claim(tx, worker_id, [parse_id(job_id)])

    (worker,) = caller.get("/api/workers").get_json()["data"]

    assert worker["id"] == str(worker_id)
    assert (worker["slots"], worker["running"], worker["live"]) == (10, 1, True)
    assert worker["lanes"] == ["openai.normal"]


def test_agents_are_listed_in_their_active_version(caller: Caller, services: Services) -> None:
    with services.database.transaction() as tx:
        agents.register(tx, "poet", {"name": "poet", "model": MODEL}, "1")
        agents.register(tx, "poet", {"name": "poet", "model": MODEL, "system": "Rhyme."}, "2")

    body = caller.get("/api/agents").get_json()

    assert body["first_id"] == body["last_id"] == "poet"
    assert body["data"] == [
        {
            "object": "agent",
            "name": "poet",
            "version": 2,
            "model": MODEL,
            "system": "Rhyme.",
            "description": "",
            "params": {},
            "fallbacks": [],
        }
    ]


def test_a_list_leaves_large_results_out_and_says_so(caller: Caller, services: Services) -> None:
    results = {"small": "2, 3, 5", "large": os.urandom(60_000).hex(), "plain": "prime " * 1_000_000}
    for text in results.values():
        end_job(services, caller.post("/api/jobs", JOB).get_json()["id"], output={"text": text})
    caller.post("/api/jobs", JOB)

    answer = caller.get("/api/jobs")
    found = answer.get_json()["data"]
    assert [one["result_omitted"] for one in found] == [False, True, True, False]
    assert [one["result"] for one in found] == [None, None, None, {"text": "2, 3, 5"}]
    assert len(answer.data) < 10_000
    for one, text in zip(found[1:], reversed(results.values()), strict=True):
        assert caller.get(f"/api/jobs/{one['id']}").get_json()["result"]["text"] == text


def test_slow_lists_leave_connections_for_others(
    app: APIFlask, caller: Caller, other_caller: Caller, services: Services
) -> None:
    """A list may read a long history; here it waits for a lock on the archive."""
    callers = [replace(caller, client=app.test_client()) for _ in range(MANY)]
    with ThreadPoolExecutor(MANY) as threads:
        with services.database.transaction() as tx:
            run(tx, "LOCK TABLE jobs_archive IN ACCESS EXCLUSIVE MODE")
            lists = [threads.submit(one.get, "/api/jobs") for one in callers]
            eventually(lambda: waits_for_locks(services) >= 1)
            answers = [other_caller.post("/api/jobs", JOB).status_code for _ in range(5)]
        assert {one.result().status_code for one in lists} <= {200, 503}
    assert answers == [202] * 5
