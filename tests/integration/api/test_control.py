"""Cancel and retry."""

from factory.domain.state import State
from factory.services import Services

from .conftest import JOB, Caller, assert_problem, end_job, start_job


def submit(caller: Caller) -> str:
    return str(caller.post("/api/jobs", JOB).get_json()["id"])


def test_a_queued_job_is_cancelled_at_once(caller: Caller) -> None:
    job_id = submit(caller)
    answer = caller.post(f"/api/jobs/{job_id}/cancel")

    assert answer.status_code == 200
    assert answer.get_json()["state"] == "cancelled"


def test_cancelling_twice_is_the_same_as_once(caller: Caller) -> None:
    job_id = submit(caller)
    answers = [caller.post(f"/api/jobs/{job_id}/cancel") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].get_json() == answers[1].get_json()


def test_a_running_job_is_marked(caller: Caller, services: Services) -> None:
    job_id = submit(caller)
    start_job(services, job_id)
    answer = caller.post(f"/api/jobs/{job_id}/cancel")

    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/jobs/{job_id}"
    assert answer.get_json()["state"] == "running"
    assert answer.get_json()["cancel_requested"] is True


def test_an_ended_job_cannot_be_cancelled(caller: Caller, services: Services) -> None:
    job_id = submit(caller)
    end_job(services, job_id)
    answer = caller.post(f"/api/jobs/{job_id}/cancel")

    assert_problem(answer, 409, None, "already succeeded")
    assert answer.headers["x-should-retry"] == "false"


def test_a_failed_job_is_queued_again(caller: Caller, services: Services) -> None:
    job_id = submit(caller)
    end_job(services, job_id, State.FAILED)
    answer = caller.post(f"/api/jobs/{job_id}/retry")

    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/jobs/{job_id}"
    assert answer.get_json()["state"] == "queued"
    assert answer.get_json()["attempt"] == 0


def test_only_a_failed_job_is_retried(caller: Caller) -> None:
    answer = caller.post(f"/api/jobs/{submit(caller)}/retry")

    assert_problem(answer, 409, None, "only a failed job")
