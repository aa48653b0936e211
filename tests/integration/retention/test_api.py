"""What callers see of the archive: nothing, until content has expired; then 410 with what is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from factory.domain.job import parse_id
from factory.domain.state import State
from factory.services import Services
from tests.integration.api.conftest import JOB, Caller, assert_problem, end_job
from tests.integration.retention.past import DAY, HOUR, places, retain, set_ended


def _submit(caller: Caller, **headers: str) -> str:
    return str(caller.post("/api/jobs", JOB, **headers).get_json()["id"])


def _archive(
    services: Services, public: str, state: State = State.SUCCEEDED, ago: timedelta = 2 * HOUR
) -> None:
    """The job ends so long ago, and moves."""
    end_job(services, public, state, output={"text": "2, 3, 5"})
    set_ended(services, parse_id(public), datetime.now(UTC) - ago)
    retain(services)
    assert places(services, parse_id(public)) == ["jobs_archive"]


def test_an_archived_job_is_answered_like_any_other(caller: Caller, services: Services) -> None:
    job_id = _submit(caller)
    _archive(services, job_id)
    answer = caller.get(f"/api/jobs/{job_id}")
    assert answer.status_code == 200
    assert answer.get_json()["result"] == {"text": "2, 3, 5"}
    again = caller.get(f"/api/jobs/{job_id}", If_None_Match=answer.headers["ETag"])
    assert again.status_code == 304


def test_an_archived_job_of_another_project_is_not_there(
    caller: Caller, other_caller: Caller, services: Services
) -> None:
    job_id = _submit(caller)
    _archive(services, job_id, ago=40 * DAY)
    assert_problem(other_caller.get(f"/api/jobs/{job_id}"), 404, "id")


def test_expired_content_is_gone_and_usage_is_not(caller: Caller, services: Services) -> None:
    job_id = _submit(caller)
    _archive(services, job_id, ago=40 * DAY)
    answer = caller.get(f"/api/jobs/{job_id}")
    assert_problem(answer, 410, "id", "have been removed")
    body = answer.get_json()
    assert body["error"]["code"] == "content_expired"
    assert (body["job"]["id"], body["job"]["state"]) == (job_id, "succeeded")
    assert body["job"]["result"] is None
    assert body["job"]["usage"]["input_tokens"] == 0


def test_expired_jobs_are_still_listed(caller: Caller, services: Services) -> None:
    job_id = _submit(caller)
    _archive(services, job_id, ago=40 * DAY)
    live = _submit(caller)
    listed = caller.get("/api/jobs?limit=1").get_json()
    assert ([job["id"] for job in listed["data"]], listed["has_more"]) == ([live], True)
    rest = caller.get(f"/api/jobs?limit=1&after={live}").get_json()
    assert ([job["id"] for job in rest["data"]], rest["has_more"]) == ([job_id], False)
    assert rest["data"][0]["result"] is None


def test_an_archived_failure_is_retried(caller: Caller, services: Services) -> None:
    job_id = _submit(caller)
    _archive(services, job_id, State.FAILED)
    answer = caller.post(f"/api/jobs/{job_id}/retry")
    assert answer.status_code == 202
    assert answer.get_json()["state"] == "queued"


def test_an_expired_failure_cannot_be_retried(caller: Caller, services: Services) -> None:
    job_id = _submit(caller)
    _archive(services, job_id, State.FAILED, ago=40 * DAY)
    assert_problem(caller.post(f"/api/jobs/{job_id}/retry"), 410, "id", "submit it anew")


def test_a_repeated_key_gets_the_first_answer_after_the_job_has_moved(
    caller: Caller, services: Services
) -> None:
    first = caller.post("/api/jobs", JOB, Idempotency_Key="one").get_json()
    _archive(services, first["id"])
    assert caller.post("/api/jobs", JOB, Idempotency_Key="one").get_json() == first


def test_queues_count_what_they_counted_before(caller: Caller, services: Services) -> None:
    ended = _submit(caller)
    _submit(caller)
    end_job(services, ended)
    before = caller.get("/api/queues").get_json()["data"]
    set_ended(services, parse_id(ended), datetime.now(UTC) - 2 * HOUR)
    retain(services)
    after = caller.get("/api/queues").get_json()["data"]
    assert [queue["queued"] for queue in after] == [queue["queued"] for queue in before]
    assert sum(queue["queued"] for queue in after) == 1
