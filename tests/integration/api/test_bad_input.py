"""What is refused, how that is told, and that nothing of it is written."""

import json
from typing import Any

import pytest

from factory.services import Services
from factory.store import agents

from .conftest import JOB, MODEL, Caller, assert_problem, count_jobs


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("change", "param", "says"),
    [
        ({"colour": "red"}, "colour", "unknown field"),
        ({"params": {"heat": 1}}, "params.heat", "unknown field"),
        ({"model": "openai/gpt-4o-minni"}, "model", "openai/gpt-4o-mini"),
        ({"model": "nobody/nothing"}, "model", "unknown model"),
        ({"model": ""}, "model", "at least 1 character"),
        ({"model": 5}, "model", "string"),
        ({"input": ""}, "input", "not empty"),
        ({"input": []}, "input", "non-empty"),
        ({"input": [{"role": "user", "content": " "}]}, "input[0].content", "not empty"),
        ({"input": [{"role": "boss", "content": "x"}]}, "input[0].role", "one of"),
        ({"input": None}, "input", "text"),
        ({"priority": -1}, "priority", "'high'"),
        ({"priority": "urgent"}, "priority", "'high'"),
        ({"max_attempts": 0}, "max_attempts", "greater than or equal to 1"),
        ({"deadline_s": -5}, "deadline_s", "greater than 0"),
        ({"run_at": "2031-01-01T00:00:00"}, "run_at", "timezone"),
        ({"run_at": "9999-12-31T23:59:59-14:00"}, "run_at", "from 1970 to 9000"),
        ({"run_at": "0001-01-01T00:00:00+14:00"}, "run_at", "from 1970 to 9000"),
        ({"run_at": "9000-01-01T00:00:00-00:01"}, "run_at", "from 1970 to 9000"),
        ({"run_at": "1970-01-01T00:00:00+00:01"}, "run_at", "from 1970 to 9000"),
        ({"run_at": "infinity"}, "run_at", "valid datetime"),
        ({"run_at": "-infinity"}, "run_at", "valid datetime"),
        ({"run_at": 1e300}, "run_at", "valid datetime"),
        ({"run_at": -(2**63)}, "run_at", "valid datetime"),
        ({"deadline_s": 1e300}, "deadline_s", "less than or equal"),
        ({"deadline_s": "inf"}, "deadline_s", "less than or equal"),
        ({"deadline_s": "nan"}, "deadline_s", "less than or equal"),
        ({"params": {"temperature": "nan"}}, "params.temperature", "less than or equal"),
        ({"params": {"seed": 2**63}}, "params.seed", "less than"),
        ({"params": {"max_tokens": 2**64 - 1}}, "params.max_tokens", "less than or equal"),
        ({"max_attempts": 2**64 - 1}, "max_attempts", "less than or equal"),
        ({"max_cost_usd": "Infinity"}, "max_cost_usd", "finite"),
        ({"max_cost_usd": "NaN"}, "max_cost_usd", "finite"),
        ({"max_cost_usd": 1e300}, "max_cost_usd", "less than or equal"),
        ({"max_cost_usd": 0}, "max_cost_usd", "greater than 0"),
        ({"fallbacks": ["nobody/nothing"]}, "fallbacks[0]", "unknown model"),
        ({"params": {"stop": ["a", ""]}}, "params.stop[1]", "at least 1 character"),
        ({"params": {"json_schema": {"type": "nonsense"}}}, "params.json_schema", "JSON Schema"),
        ({"metadata": {"n": 5}}, "metadata.n", "string"),
        ({"input": "a\x00b"}, "input", "NUL"),
        ({"metadata": {"a\x00b": "x"}}, "metadata", "NUL"),
        ({"webhook": {"url": "ftp://example.com/"}}, "webhook.url", "https://"),
        ({"webhook": {"url": "http://10.0.0.1/"}}, "webhook.url", "not public"),
        ({"webhook": {"url": "http://169.254.169.254/latest"}}, "webhook.url", "not public"),
        ({"webhook": {"url": "http://postgres:5432/"}}, "webhook.url", "private network"),
        ({"webhook": {}}, "webhook.url", "required"),
        ({"task_id": "7"}, "task_id", "UUID"),
    ],
)
def test_content_that_is_not_valid_is_named_by_its_field(
    caller: Caller, services: Services, change: dict[str, Any], param: str, says: str
) -> None:
    assert_problem(caller.post("/api/jobs", {**JOB, **change}), 422, param, says)
    assert count_jobs(services) == 0


def test_an_unknown_agent_is_named(caller: Caller, services: Services) -> None:
    answer = caller.post("/api/jobs", {"agent": "poet", "input": "x"})

    assert_problem(answer, 422, "agent", "unknown agent 'poet'")
    assert count_jobs(services) == 0


def test_agent_and_model_exclude_each_other(caller: Caller, services: Services) -> None:
    with services.database.transaction() as tx:
        agents.register(tx, "poet", {"name": "poet", "model": MODEL}, "hash")

    assert_problem(caller.post("/api/jobs", {**JOB, "agent": "poet"}), 422, "model", "one of")
    assert_problem(caller.post("/api/jobs", {"input": "x"}), 422, "model", "one of")
    assert count_jobs(services) == 0


def test_a_nul_in_an_agents_name_is_content_not_a_crash(caller: Caller) -> None:
    answer = caller.post("/api/jobs", {"agent": "po\x00et", "input": "x"})

    assert_problem(answer, 422, "agent", "NUL")


def test_a_missing_input_is_named(caller: Caller) -> None:
    assert_problem(caller.post("/api/jobs", {"model": MODEL}), 422, "input", "required")


@pytest.mark.parametrize("body", [[], "text", None, 7])
def test_a_body_that_is_no_object_is_refused(caller: Caller, body: Any) -> None:
    answer = caller.post_raw("/api/jobs", json.dumps(body).encode(), "application/json")

    assert_problem(answer, 422, None, "JSON object")


def test_malformed_json_is_told_by_line_and_column(caller: Caller, services: Services) -> None:
    answer = caller.post_raw("/api/jobs", b'{"model": "x",\n "input": }', "application/json")

    assert_problem(answer, 400, None, "line 2, column 11")
    assert count_jobs(services) == 0


def test_two_megabytes_are_too_large(caller: Caller, services: Services) -> None:
    answer = caller.post("/api/jobs", {**JOB, "input": "x" * 2_000_000})

    assert_problem(answer, 413, None)
    assert count_jobs(services) == 0


def test_40_levels_of_nesting_are_too_many(caller: Caller, services: Services) -> None:
    answer = caller.post("/api/jobs", {**JOB, "params": {"json_schema": nested(40)}})

    assert_problem(answer, 422, None, "32 levels")
    assert count_jobs(services) == 0


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(
    caller: Caller, services: Services, content_type: str
) -> None:
    answer = caller.post_raw("/api/jobs", json.dumps(JOB).encode(), content_type)

    assert_problem(answer, 415, None, "application/json")
    assert count_jobs(services) == 0


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_an_unfit_idempotency_key_is_refused(caller: Caller, services: Services, key: str) -> None:
    answer = caller.post("/api/jobs", JOB, Idempotency_Key=key)

    assert_problem(answer, 422, "Idempotency-Key")
    assert count_jobs(services) == 0


def test_unknown_paths_and_methods_are_problems_too(caller: Caller) -> None:
    assert_problem(caller.get("/api/nothing"), 404, None, "there is no '/api/nothing' here; /docs")
    answer = caller.delete("/api/jobs")
    assert_problem(answer, 405, None, "DELETE is of no use here; this path takes GET, POST")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/chat/completions", "/v1/models"])
def test_doors_of_other_services_point_to_the_documents(caller: Caller, path: str) -> None:
    answer = caller.get(path)

    assert_problem(answer, 404, None, "/docs")
    assert "POST /api/jobs" in answer.get_json()["detail"]
    assert answer.headers["Link"] == '</docs>; rel="help"'
