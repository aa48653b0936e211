"""Prefer: wait=N holds a request until the job ends."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from apiflask import APIFlask
from werkzeug.test import TestResponse

from api.gateway import gateway_of
from api.waiting import MOST_WAITING
from factory.domain.job import new_id, public_id
from factory.services import Services
from factory.store.database import rows

from .conftest import JOB, Caller, end_job


@pytest.fixture
def in_background() -> Callable[[Callable[[], TestResponse]], Callable[[], TestResponse]]:
    """Runs a call in a thread; gives a function that waits for its answer."""

    def run(call: Callable[[], TestResponse]) -> Callable[[], TestResponse]:
        answers: list[TestResponse] = []
        thread = threading.Thread(target=lambda: answers.append(call()))
        thread.start()

        def answer() -> TestResponse:
            thread.join(60)
            return answers[0]

        return answer

    return run


def the_job(services: Services) -> str:
    """The id of the only job, as soon as there is one."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with services.database.transaction() as tx:
            if found := rows(tx, "SELECT id FROM jobs"):
                return public_id(found[0].id)
    raise AssertionError("no job was written")


def test_a_submission_waits_for_the_result(
    caller: Caller, services: Services, in_background
) -> None:
    answer = in_background(lambda: caller.post("/api/jobs", JOB, Prefer="wait=60"))
    end_job(services, the_job(services), output={"text": "2, 3, 5"})

    assert answer().status_code == 200
    assert answer().headers["Preference-Applied"] == "wait=60"
    assert "Location" not in answer().headers
    assert answer().get_json()["state"] == "succeeded"
    assert answer().get_json()["result"] == {"text": "2, 3, 5"}


def test_a_submission_that_waited_in_vain_is_accepted(caller: Caller) -> None:
    started = time.monotonic()
    answer = caller.post("/api/jobs", JOB, Prefer="wait=1")

    assert time.monotonic() - started >= 1
    assert answer.status_code == 202
    assert answer.headers["Location"]
    assert answer.headers["Preference-Applied"] == "wait=1"


def test_a_read_waits_for_the_end(caller: Caller, services: Services, in_background) -> None:
    job_id = caller.post("/api/jobs", JOB).get_json()["id"]
    answer = in_background(lambda: caller.get(f"/api/jobs/{job_id}", Prefer="wait=60"))
    end_job(services, job_id)

    assert answer().get_json()["state"] == "succeeded"


def test_a_read_of_an_ended_job_does_not_wait(caller: Caller, services: Services) -> None:
    job_id = caller.post("/api/jobs", JOB).get_json()["id"]
    end_job(services, job_id)
    answer = caller.get(f"/api/jobs/{job_id}", Prefer="wait=20")

    assert answer.status_code == 200
    assert "Preference-Applied" not in answer.headers


@pytest.mark.parametrize("whose", ["others", "its own"])
def test_who_finds_no_place_is_answered_at_once(app: APIFlask, caller: Caller, whose: str) -> None:
    """Of its own project half of the places are enough."""
    owners = [new_id(), new_id()] if whose == "others" else [caller.project_id]
    with ExitStack() as stack:
        for owner in owners * (MOST_WAITING // 2):
            stack.enter_context(gateway_of(app).waiting.place(owner))
        answer = caller.post("/api/jobs", JOB, Prefer="wait=60")

    assert answer.status_code == 202
    assert "Preference-Applied" not in answer.headers


def test_a_leaving_process_lets_waiting_requests_go(
    app: APIFlask, caller: Caller, services: Services, in_background
) -> None:
    answer = in_background(lambda: caller.post("/api/jobs", JOB, Prefer="wait=60"))
    the_job(services)
    gateway_of(app).waiting.leave()

    assert answer().status_code == 202
