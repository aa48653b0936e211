"""No stored row breaks a list: what cannot be shown is shown as far as it can be."""

from __future__ import annotations

from typing import Any

import pytest

from factory.domain.job import parse_id
from factory.services import Services
from tests.integration.store.samples import tell

from .conftest import JOB, Caller, end_job


def spoil(services: Services, public_id: str, statement: str, value: str) -> None:
    """Puts something into the row that no door of today lets in."""
    tell(services, statement, value=value, id=str(parse_id(public_id)))


RUN_AT = "UPDATE jobs SET run_at = CAST(%(value)s AS timestamptz) WHERE id = %(id)s"
CREATED = "UPDATE jobs SET created_at = CAST(%(value)s AS timestamptz) WHERE id = %(id)s"
STARTED = "UPDATE jobs SET started_at = CAST(%(value)s AS timestamptz) WHERE id = %(id)s"
STATE = "UPDATE jobs SET state = %(value)s WHERE id = %(id)s"
KIND = "UPDATE jobs SET kind = %(value)s WHERE id = %(id)s"
PRIORITY = "UPDATE jobs SET priority = %(value)s WHERE id = %(id)s"
METADATA = "UPDATE job_requests SET metadata = CAST(%(value)s AS jsonb) WHERE job_id = %(id)s"
TRACE = "UPDATE job_requests SET traceparent = %(value)s WHERE job_id = %(id)s"
INPUT = "UPDATE job_requests SET input = CAST(%(value)s AS jsonb) WHERE job_id = %(id)s"
PARAMS = "UPDATE job_requests SET params = CAST(%(value)s AS jsonb) WHERE job_id = %(id)s"
WAITS = (
    "UPDATE jobs SET state = 'waiting', waiting_for = CAST(%(value)s AS jsonb) WHERE id = %(id)s"
)
LAST_ERROR = "UPDATE jobs SET last_error = CAST(%(value)s AS jsonb) WHERE id = %(id)s"
ODD = [
    (RUN_AT, "infinity"),
    (RUN_AT, "-infinity"),
    (RUN_AT, "12000-01-01 00:00+00"),
    (RUN_AT, "9999-12-31 23:59:59-14"),
    (RUN_AT, "0044-03-15 00:00+00 BC"),
    (CREATED, "infinity"),
    (STARTED, "4713-01-01 00:00+00 BC"),
    (STATE, "paused"),
    (KIND, "tool"),
    (PRIORITY, "urgent"),
    (METADATA, "[1, null]"),
    (METADATA, '"text"'),
    (METADATA, '{"a": {"b": [1e30, 18446744073709551616]}}'),
    (TRACE, "nonsense"),
    (TRACE, ""),
    (INPUT, "[]"),
    (INPUT, '"text"'),
    (INPUT, '{"texts": [["only one"]], "v": 9}'),
    (INPUT, '{"texts": {"a": 1}}'),
    (INPUT, '{"messages": 7}'),
    (PARAMS, "[]"),
    (WAITS, "null"),
    (WAITS, "[]"),
    (WAITS, '{"type": 7}'),
    (WAITS, '{"type": "weather", "since": "soon", "jobs": "all", "v": 9}'),
    (WAITS, '{"type": "children", "since": null, "jobs": [1, "job", null]}'),
    (LAST_ERROR, '"text"'),
    (LAST_ERROR, "[]"),
]


@pytest.mark.parametrize(("statement", "value"), ODD)
def test_an_odd_row_is_shown_and_breaks_no_list(
    caller: Caller, services: Services, statement: str, value: str
) -> None:
    good = [caller.post("/api/jobs", JOB).get_json()["id"] for _ in range(2)]
    odd = caller.post("/api/jobs", JOB).get_json()["id"]
    tell(services, "ALTER TABLE jobs DROP CONSTRAINT IF EXISTS ck_jobs_state")
    tell(services, "ALTER TABLE jobs DROP CONSTRAINT IF EXISTS ck_jobs_kind")
    tell(services, "ALTER TABLE jobs DROP CONSTRAINT IF EXISTS ck_jobs_priority")
    spoil(services, odd, statement, value)

    listed = caller.get("/api/jobs")

    assert listed.status_code == 200, listed.text
    assert {job["id"] for job in listed.get_json()["data"]} == {odd, *good}
    read = caller.get(f"/api/jobs/{odd}")
    assert (read.status_code, read.get_json()["id"]) == (200, odd)
    for path in ("/api/queues", "/api/workers", f"/api/jobs/{good[0]}"):
        assert caller.get(path).status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        '"text"',
        "[[[[1]]]]",
        '{"text": 5, "finish_reason": null}',
        "18446744073709551616",
        "1" + "0" * 400,
        "1" + "0" * 5000,
        "[" * 300 + "]" * 300,
        "[" * 1100 + "]" * 1100,
    ],
)
def test_an_odd_result_is_shown(caller: Caller, services: Services, value: str) -> None:
    job = caller.post("/api/jobs", JOB).get_json()["id"]
    end_job(services, job)
    spoil(
        services,
        job,
        "UPDATE job_contents SET output = CAST(%(value)s AS jsonb) WHERE job_id = %(id)s",
        value,
    )
    for path in ("/api/jobs", f"/api/jobs/{job}"):
        answer = caller.get(path)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("value", ["infinity", "12000-01-01 00:00+00"])
def test_a_key_that_expires_too_late_to_be_said_is_listed(
    caller: Caller, services: Services, value: str
) -> None:
    tell(services, "UPDATE api_keys SET expires_at = CAST(%(value)s AS timestamptz)", value=value)
    answer = caller.get("/api/keys")
    assert (answer.status_code, len(answer.get_json()["data"])) == (200, 1), answer.text


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "openai/gpt-4o-mini", "input": "\\ud800"}',
        b'{"model": "openai/gpt-4o-mini", "input": "x", "deadline_s": NaN}',
        b'{"model": "openai/gpt-4o-mini", "input": "x", "deadline_s": Infinity}',
        b'{"model": "openai/gpt-4o-mini", "input": "x", "deadline_s": 1e999}',
        b'{"model": "openai/gpt-4o-mini", "input": "\xed\xa0\x80"}',
    ],
)
def test_what_is_no_json_is_refused(caller: Caller, body: bytes) -> None:
    answer = caller.post_raw("/api/jobs", body, "application/json")
    assert answer.status_code in (400, 422), answer.text


@pytest.mark.parametrize(
    "query",
    ["metadata[a]=%ED%A0%80", "agent=%FF", "model=%00", "limit=99999999999999999999", "limit=nan"],
)
def test_an_odd_query_is_answered(caller: Caller, query: str) -> None:
    assert caller.get(f"/api/jobs?{query}").status_code in (200, 422)


def test_numbers_that_fit_nowhere_stay_in_a_schema(caller: Caller) -> None:
    schema: dict[str, Any] = {"type": "integer", "maximum": 2**64 - 1, "minimum": -(2**63)}
    answer = caller.post("/api/jobs", {**JOB, "params": {"json_schema": schema}})
    assert answer.status_code == 202, answer.text
    job = caller.get(f"/api/jobs/{answer.get_json()['id']}").get_json()
    assert job["params"]["json_schema"] == schema
