"""POST /api/jobs: what is accepted, and what is stored of it."""

from factory.domain.job import parse_id
from factory.services import Services
from factory.store import agents, jobs
from factory.store.database import rows

from .conftest import JOB, MODEL, Caller, count_jobs

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_job_is_stored_before_it_is_accepted(caller: Caller, services: Services) -> None:
    answer = caller.post("/api/jobs", JOB)

    assert answer.status_code == 202
    job = answer.get_json()
    assert (job["state"], job["model"], job["lane"]) == ("queued", MODEL, "openai.normal")
    assert answer.headers["Location"] == f"/api/jobs/{job['id']}"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["ETag"]
    with services.database.transaction() as tx:
        assert jobs.get(tx, caller.project_id, parse_id(job["id"]))


def test_every_field_reaches_the_job(caller: Caller, services: Services) -> None:
    answer = caller.post(
        "/api/jobs",
        {
            "model": MODEL,
            "input": [{"role": "user", "content": "Where is the Louvre?"}],
            "params": {"system": "Be short.", "temperature": 0.5},
            "priority": "bulk",
            "run_at": "2031-01-01T00:00:00+01:00",
            "deadline_s": 60,
            "max_attempts": 3,
            "max_cost_usd": 0.05,
            "fallbacks": ["anthropic/claude-haiku-4-5"],
            "webhook": {"url": "https://example.com/hook"},
            "metadata": {"customer": "42"},
        },
        traceparent=TRACEPARENT,
    )

    assert answer.status_code == 202, answer.text
    job = answer.get_json()
    assert job["lane"] == "openai.bulk"
    assert job["run_at"] == "2030-12-31T23:00:00Z"
    assert job["max_attempts"] == 3
    assert job["metadata"] == {"customer": "42"}
    assert job["trace_id"] == TRACEPARENT.split("-")[1]
    with services.database.transaction() as tx:
        (row,) = rows(tx, "SELECT * FROM jobs JOIN job_requests ON job_id = id")
    assert row.max_cost_micros == 50_000
    assert row.deadline_at is not None
    assert row.input["messages"][0] == {"role": "system", "content": "Be short."}
    assert row.fallbacks == ["anthropic/claude-haiku-4-5"]
    assert row.webhook_url == "https://example.com/hook"
    assert row.traceparent == TRACEPARENT


def test_a_malformed_traceparent_is_dropped(caller: Caller) -> None:
    answer = caller.post("/api/jobs", JOB, traceparent="00-nonsense")

    assert answer.status_code == 202
    assert answer.get_json()["trace_id"] is None


def test_an_agent_lends_its_model_and_version(caller: Caller, services: Services) -> None:
    with services.database.transaction() as tx:
        agents.register(tx, "poet", {"name": "poet", "model": MODEL}, "hash")

    job = caller.post("/api/jobs", {"agent": "poet", "input": "Roses"}).get_json()

    assert (job["agent"], job["agent_version"], job["model"]) == ("poet", 1, MODEL)


def test_utf8_may_be_named_in_the_content_type(caller: Caller, services: Services) -> None:
    body = '{"model": "openai/gpt-4o-mini", "input": "Grüße"}'.encode()
    answer = caller.post_raw("/api/jobs", body, "application/json; charset=utf-8")

    assert answer.status_code == 202
    assert count_jobs(services) == 2, "a job and its payload"
