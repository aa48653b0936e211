"""POST /api/jobs/bulk."""

import json

import pytest
from werkzeug.test import TestResponse

from factory.services import Services
from factory.store import agents

from .conftest import JOB, MODEL, Caller, assert_problem, count_jobs

GOOD = json.dumps(JOB)


def post(caller: Caller, *lines: str, **headers: str) -> TestResponse:
    body = "\n".join(lines).encode()
    return caller.post_raw("/api/jobs/bulk", body, "application/x-ndjson", **headers)


def test_good_lines_are_accepted_in_order(caller: Caller) -> None:
    answer = post(caller, *(json.dumps({**JOB, "input": str(n)}) for n in range(3)))

    assert answer.status_code == 202, answer.text
    body = answer.get_json()
    assert (body["accepted"], body["rejected"]) == (3, [])
    listed = caller.get("/api/jobs").get_json()["data"]
    assert {job["id"] for job in listed} == set(body["ids"])


def test_bad_lines_are_named_and_good_ones_stay(caller: Caller, services: Services) -> None:
    with services.database.transaction() as tx:
        agents.register(tx, "poet", {"name": "poet", "model": MODEL}, "hash")
    answer = post(
        caller,
        GOOD,
        "",
        '{"model": }',
        '{"agent": "poet", "input": "Roses"}\r',
        json.dumps({**JOB, "colour": "red"}),
        json.dumps({"agent": "painter", "input": "x"}),
        json.dumps({**JOB, "input": "a\x00b"}),
        json.dumps({**JOB, "model": "nobody/nothing"}),
        "[]",
        json.dumps({**JOB, "input": "x" * 1_100_000}),
        "  ",
    )

    assert answer.status_code == 202, answer.text
    body = answer.get_json()
    assert body["accepted"] == len(body["ids"]) == 2
    told = {rejected["line"]: rejected["error"]["param"] for rejected in body["rejected"]}
    assert told == {3: None, 5: "colour", 6: "agent", 7: "input", 8: "model", 9: None, 10: None}
    assert "line 1, column" in body["rejected"][0]["error"]["message"]
    assert count_jobs(services) == 4, "two jobs and their payloads"


def test_a_bulk_without_a_good_line_is_refused(caller: Caller, services: Services) -> None:
    answer = post(caller, '{"model": }', json.dumps({**JOB, "input": ""}), Idempotency_Key="k")

    assert_problem(answer, 422, "body", "no line")
    assert [one["line"] for one in answer.get_json()["rejected"]] == [1, 2]
    assert count_jobs(services) == 0


def test_an_empty_bulk_is_refused(caller: Caller) -> None:
    assert_problem(post(caller, "", " "), 422, "body")


def test_a_bulk_repeated_with_its_key_is_one_bulk(caller: Caller, services: Services) -> None:
    first = post(caller, GOOD, "{", Idempotency_Key="k")
    second = post(caller, GOOD, "{", Idempotency_Key="k")
    other = post(caller, GOOD, GOOD, Idempotency_Key="k")

    assert first.status_code == second.status_code == 202
    assert first.get_json() == second.get_json()
    assert_problem(other, 422, "Idempotency-Key")
    assert count_jobs(services) == 3, "a job, its payload and the key"


def test_more_than_10_000_lines_are_too_many(caller: Caller, services: Services) -> None:
    assert_problem(post(caller, *[GOOD] * 10_001), 413, None, "at most 10000")
    assert count_jobs(services) == 0


def test_10_000_lines_are_one_bulk(caller: Caller, services: Services) -> None:
    answer = post(caller, *[GOOD] * 10_000)

    assert answer.status_code == 202
    assert answer.get_json()["accepted"] == 10_000
    assert count_jobs(services) == 20_000


def test_17_megabytes_are_too_large(caller: Caller, services: Services) -> None:
    line = json.dumps({**JOB, "input": "x" * 1_000_000})

    assert_problem(post(caller, *[line] * 17), 413, None)
    assert count_jobs(services) == 0


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_a_bulk_of_another_type_is_refused(caller: Caller, content_type: str) -> None:
    answer = caller.post_raw("/api/jobs/bulk", GOOD.encode(), content_type)

    assert_problem(answer, 415, None, "application/x-ndjson")


def test_jsonl_is_another_name(caller: Caller) -> None:
    answer = caller.post_raw("/api/jobs/bulk", GOOD.encode(), "application/jsonl")

    assert answer.status_code == 202
