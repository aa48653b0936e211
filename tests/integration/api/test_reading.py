"""GET /api/jobs/{id} and GET /api/jobs."""

import pytest

from factory.domain.state import State
from factory.services import Services

from .conftest import JOB, Caller, assert_problem, end_job, start_job


def submit(caller: Caller, **change: object) -> str:
    answer = caller.post("/api/jobs", {**JOB, **change})
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["id"])


def test_a_job_reads_as_it_was_accepted(caller: Caller) -> None:
    accepted = caller.post("/api/jobs", JOB)
    read = caller.get(f"/api/jobs/{accepted.get_json()['id']}")

    assert read.status_code == 200
    assert accepted.get_json().items() <= read.get_json().items()


def test_an_unchanged_job_is_304(caller: Caller) -> None:
    job_id = submit(caller)
    etag = caller.get(f"/api/jobs/{job_id}").headers["ETag"]
    answer = caller.get(f"/api/jobs/{job_id}", If_None_Match=etag)

    assert answer.status_code == 304
    assert answer.data == b""
    assert answer.headers["ETag"] == etag
    assert answer.headers["X-Request-Id"]


def test_each_change_of_a_job_changes_its_etag(caller: Caller, services: Services) -> None:
    def etag() -> str:
        return caller.get(f"/api/jobs/{job_id}").headers["ETag"]

    job_id = submit(caller)
    etags = [etag()]
    start_job(services, job_id)
    etags.append(etag())
    caller.post(f"/api/jobs/{job_id}/cancel")
    etags.append(etag())

    assert len(set(etags)) == 3
    assert caller.get(f"/api/jobs/{job_id}", If_None_Match=etags[0]).status_code == 200


@pytest.mark.parametrize(
    "job_id", ["job_7", "7", "job_" + "g" * 32, "%00", "job_01a210aedaf870dabd419fb51643a0dd"]
)
def test_an_id_that_nobody_has_is_404(caller: Caller, job_id: str) -> None:
    assert_problem(caller.get(f"/api/jobs/{job_id}"), 404, "id")


@pytest.mark.parametrize(
    ("method", "suffix"), [("get", ""), ("post", "/cancel"), ("post", "/retry")]
)
def test_another_projects_job_is_404(
    caller: Caller, other_caller: Caller, method: str, suffix: str
) -> None:
    job_id = submit(caller)

    assert_problem(getattr(other_caller, method)(f"/api/jobs/{job_id}{suffix}"), 404, "id")
    assert other_caller.get("/api/jobs").get_json()["data"] == []
    assert caller.get(f"/api/jobs/{job_id}").get_json()["state"] == "queued"


def test_a_list_pages_from_the_newest(caller: Caller) -> None:
    submitted = [submit(caller) for _ in range(5)]
    first = caller.get("/api/jobs?limit=3").get_json()
    second = caller.get(f"/api/jobs?limit=3&after={first['last_id']}").get_json()

    assert first["object"] == "list"
    assert first["has_more"] is True
    assert first["first_id"] == submitted[-1]
    assert second["has_more"] is False
    assert [job["id"] for job in first["data"] + second["data"]] == submitted[::-1]


def test_an_empty_list_has_no_ids(caller: Caller) -> None:
    assert caller.get("/api/jobs").get_json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_a_list_is_filtered(caller: Caller, services: Services) -> None:
    plain = submit(caller)
    high = submit(caller, priority="high", metadata={"customer": "42", "kind": "a"})
    ended = submit(caller, model="ollama/llama3")
    end_job(services, ended, State.FAILED)

    def listed(query: str) -> list[str]:
        return [job["id"] for job in caller.get(f"/api/jobs?{query}").get_json()["data"]]

    assert listed("state=failed") == [ended]
    assert listed("lane=openai.high") == [high]
    assert listed("model=ollama/llama3") == [ended]
    assert listed("metadata[customer]=42") == [high]
    assert listed("metadata[customer]=42&metadata[kind]=b") == []
    assert listed("agent=poet") == []
    assert listed("state=queued&limit=1") == [high]
    assert listed("") == [ended, high, plain]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("state=lost", "state"),
        ("lane=openai.urgent", "lane"),
        ("after=job_7", "after"),
        ("colour=red", "colour"),
        ("agent=a%00b", "agent"),
        ("metadata[a]=b%00", "metadata.a"),
    ],
)
def test_a_bad_query_parameter_is_named(caller: Caller, query: str, param: str) -> None:
    assert_problem(caller.get(f"/api/jobs?{query}"), 422, param)
