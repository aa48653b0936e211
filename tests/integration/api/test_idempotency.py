"""The same request twice is one job."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from apiflask import APIFlask

from factory.services import Services
from factory.store import agents, archive
from factory.store.database import rows, run
from tests.integration.store.samples import ask, tell

from .conftest import JOB, MODEL, Caller, assert_problem, end_job

KEY = "order-4711"


def stored(services: Services) -> int:
    with services.database.transaction() as tx:
        return int(rows(tx, f"SELECT count(*) AS n FROM {archive.EVERY_JOB} j")[0].n)


def test_a_repeated_key_gives_the_first_answer(caller: Caller, services: Services) -> None:
    first = caller.post("/api/jobs", JOB, Idempotency_Key=KEY)
    end_job(services, first.get_json()["id"])
    second = caller.post("/api/jobs", JOB, Idempotency_Key=KEY)

    assert second.status_code == 202
    assert second.get_json() == first.get_json()
    assert stored(services) == 1


def test_a_repeated_key_with_another_body_is_refused(caller: Caller, services: Services) -> None:
    caller.post("/api/jobs", JOB, Idempotency_Key=KEY)
    answer = caller.post("/api/jobs", {**JOB, "input": "other"}, Idempotency_Key=KEY)

    assert_problem(answer, 422, "Idempotency-Key", "another body")
    assert stored(services) == 1


def test_the_same_text_at_another_path_is_another_request(caller: Caller) -> None:
    body = b'{"model": "openai/gpt-4o-mini", "input": "x"}'
    caller.post_raw("/api/jobs", body, "application/json", Idempotency_Key=KEY)
    answer = caller.post_raw("/api/jobs/bulk", body, "application/jsonl", Idempotency_Key=KEY)

    assert_problem(answer, 422, "Idempotency-Key")


def test_a_key_belongs_to_its_project(
    caller: Caller, other_caller: Caller, services: Services
) -> None:
    first = caller.post("/api/jobs", JOB, Idempotency_Key=KEY).get_json()
    second = other_caller.post("/api/jobs", JOB, Idempotency_Key=KEY).get_json()

    assert first["id"] != second["id"]
    assert stored(services) == 2


def test_a_refused_request_leaves_its_key_free(caller: Caller) -> None:
    assert caller.post("/api/jobs", {**JOB, "input": ""}, Idempotency_Key=KEY).status_code == 422
    assert caller.post("/api/jobs", JOB, Idempotency_Key=KEY).status_code == 202


def test_two_at_once_are_one_job(
    app: APIFlask, caller: Caller, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = "SET LOCAL lock_timeout = '60s'"  # beside load the first may take longer than usual
    monkeypatch.setattr("factory.store.idempotency.LOCK_TIMEOUT", patient)

    def post(_: int) -> str:
        answer = app.test_client().post(
            "/api/jobs", json=JOB, headers={**caller.headers, "Idempotency-Key": KEY}
        )
        assert answer.status_code == 202, answer.text
        return str(answer.get_json()["id"])

    with ThreadPoolExecutor(4) as threads:
        answered = set(threads.map(post, range(8)))

    assert len(answered) == 1
    assert stored(services) == 1


def test_what_was_accepted_is_answered_again_when_its_agent_has_gone(
    caller: Caller, services: Services
) -> None:
    with services.database.transaction() as tx:
        agents.register(tx, "poet", {"name": "poet", "model": MODEL}, "1")
    job = {"agent": "poet", "input": "A haiku, please."}
    first = caller.post("/api/jobs", job, Idempotency_Key="haiku")
    with services.database.transaction() as tx:
        run(tx, "DELETE FROM agent_versions")
        run(tx, "DELETE FROM agents")
    again = caller.post("/api/jobs", job, Idempotency_Key="haiku")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json == first.json


def test_a_job_is_shown_as_it_was_accepted_wherever_it_is_by_now(
    caller: Caller, services: Services
) -> None:
    job = {**JOB, "run_at": "2030-01-01T00:00:00+02:00", "metadata": {"a": "1"}, "priority": "high"}
    first = caller.post("/api/jobs", job, Idempotency_Key=KEY)
    tell(services, "UPDATE jobs SET run_at = now(), ends_in_archive = NULL")
    end_job(services, first.get_json()["id"], output={"text": "2, 3, 5"})
    assert caller.post("/api/jobs", job, Idempotency_Key=KEY).data == first.data
    with services.database.transaction() as tx:
        assert archive.move(tx, 0, 10) == 1
    assert caller.post("/api/jobs", job, Idempotency_Key=KEY).data == first.data


def test_a_bulk_is_answered_again_with_its_rejected_lines(caller: Caller) -> None:
    body = json.dumps(JOB).encode() + b"\nnot JSON\n"
    given = ("/api/jobs/bulk", body, "application/jsonl")
    first = caller.post_raw(*given, Idempotency_Key=KEY)
    assert [one["line"] for one in first.get_json()["rejected"]] == [2]
    assert caller.post_raw(*given, Idempotency_Key=KEY).data == first.data


KEPT_BY_THE_RELEASE_BEFORE = {"id": f"job_{'0' * 32}", "object": "job", "state": "queued"}


def test_what_the_release_before_kept_is_answered_as_it_is(
    caller: Caller, services: Services
) -> None:
    caller.post("/api/jobs", JOB, Idempotency_Key=KEY)
    kept = json.dumps(KEPT_BY_THE_RELEASE_BEFORE)
    tell(services, "UPDATE idempotency_keys SET accepted = NULL, answer = %(kept)s", kept=kept)
    answer = caller.post("/api/jobs", JOB, Idempotency_Key=KEY)
    assert (answer.status_code, answer.get_json()) == (202, KEPT_BY_THE_RELEASE_BEFORE)


def test_the_release_before_finds_the_answer_that_it_would_have_kept(
    caller: Caller, services: Services
) -> None:
    first = caller.post("/api/jobs", JOB, Idempotency_Key=KEY)
    [row] = ask(services, "SELECT answer FROM idempotency_keys")
    assert row.answer == first.get_json()


@pytest.mark.parametrize(
    "change", ["DELETE FROM jobs", """UPDATE idempotency_keys SET accepted = '{"v": 2}'"""]
)
def test_a_job_that_is_gone_or_kept_by_a_newer_version_is_answered_from_the_answer(
    caller: Caller, services: Services, change: str
) -> None:
    first = caller.post("/api/jobs", JOB, Idempotency_Key=KEY)
    tell(services, change)
    assert caller.post("/api/jobs", JOB, Idempotency_Key=KEY).get_json() == first.get_json()


def test_the_job_decides_and_not_the_answer_that_is_kept_beside_it(
    caller: Caller, services: Services
) -> None:
    first = caller.post("/api/jobs", JOB, Idempotency_Key=KEY)
    tell(services, "UPDATE idempotency_keys SET answer = NULL")
    assert caller.post("/api/jobs", JOB, Idempotency_Key=KEY).data == first.data
