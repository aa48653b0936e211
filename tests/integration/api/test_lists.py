"""Queues, workers, agents: what runs, and what may be named."""

from factory.domain.job import new_id, parse_id
from factory.domain.lanes import all_lanes
from factory.services import Services
from factory.store import agents, leases, moves

from .conftest import JOB, MODEL, Caller


def test_queues_count_the_projects_own_jobs(
    caller: Caller, stranger: Caller, services: Services
) -> None:
    first = caller.post("/api/jobs", JOB).get_json()["id"]
    caller.post("/api/jobs", JOB)
    stranger.post("/api/jobs", JOB)
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
