"""Jobs of every kind, as an HTTP client has them."""

from __future__ import annotations

import pytest

from tests.acceptance.stack import Stack, eventually

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "founded": {"type": "integer"}},
    "required": ["city", "founded"],
    "additionalProperties": False,
}
MODELS = (
    "openai/gpt-4o-mini",
    "anthropic/claude-haiku-4-5",
    "gemini/gemini-2.5-flash",
    "ollama/llama3.2",
)


@pytest.mark.parametrize("model", MODELS)
def test_every_provider_answers(platform: Stack, model: str) -> None:
    job = platform.run(model=model)
    assert job["state"] == "succeeded", job["error"]
    assert "not a model" in job["result"]["text"]
    assert job["usage"]["output_tokens"] > 0
    assert job["lane"] == f"{model.partition('/')[0]}.normal"
    assert platform.calls(job["id"]) == 1


def test_an_answer_follows_the_schema_and_the_system_prompt_is_taken(platform: Stack) -> None:
    params = {"system": "You know towns.", "json_schema": SCHEMA, "temperature": 0}
    job = platform.run("Where is the Louvre?", params=params)
    assert job["state"] == "succeeded", job["error"]
    assert isinstance(job["result"]["parsed"]["city"], str)
    assert isinstance(job["result"]["parsed"]["founded"], int)


def test_a_bulk_takes_its_good_lines_and_names_the_bad_ones(platform: Stack) -> None:
    good = [
        {"model": "openai/gpt-4o-mini", "input": f"Ticket {number}", "priority": "bulk"}
        for number in range(200)
    ]
    bad = ['{"model": ', {"model": "openai/gpt-99", "input": "x"}]
    answer = platform.submit_lines([*good[:100], *bad, *good[100:]])
    assert answer["accepted"] == len(answer["ids"]) == 200
    assert [one["line"] for one in answer["rejected"]] == [101, 102]
    assert answer["rejected"][1]["error"]["param"] == "model"
    states = {job["state"] for job in platform.all_ended(answer["ids"])}
    assert states == {"succeeded"}


def test_what_was_embedded_is_found(platform: Stack) -> None:
    texts = [
        {"source": "post.md", "text": "A letter is carried by a postman on a bicycle."},
        {"source": "queue.md", "text": "Postgres holds the truth about every job."},
    ]
    job = platform.run(model="local/all-minilm-l6-v2", input=texts)
    assert job["state"] == "succeeded", job["error"]
    question = {"query": "Which database knows the state of a job?", "limit": 1}
    hits = platform.http.post("/api/search", json=question).json()["data"]
    assert [hit["source"] for hit in hits] == ["queue.md"]
    assert hits[0]["job_id"] == job["id"]


def test_a_refused_job_fails_at_once_and_may_be_retried_by_its_owner(platform: Stack) -> None:
    job = platform.run("{{simulate status=400 times=1}} Why?")
    assert (job["state"], job["attempt"]) == ("failed", 1)
    assert job["error"]["type"] == "provider_refused"
    answer = platform.http.post(f"/api/jobs/{job['id']}/retry")
    assert answer.status_code == 202
    assert platform.ended(job["id"])["state"] == "succeeded"


def test_a_fallback_answers_while_the_provider_is_overloaded(platform: Stack) -> None:
    # Each model is called once for the job; the script strikes its first call at the first provider.
    job = platform.run(
        "{{simulate status=529 times=1}} Why?",
        model="anthropic/claude-haiku-4-5",
        fallbacks=["anthropic/claude-sonnet-4-5"],
    )
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    assert job["result"]["model"] == "claude-sonnet-4-5"
    assert platform.calls(job["id"]) == 2


def test_a_server_error_is_tried_again(platform: Stack) -> None:
    job = platform.run("{{simulate status=500 times=1}} Why?")
    assert (job["state"], job["attempt"], job["deferrals"]) == ("succeeded", 2, 0)
    assert job["unknown_cost_calls"] == 0


def test_a_rate_limit_defers_and_spends_no_attempt(platform: Stack) -> None:
    job = platform.run("{{simulate status=429 times=1 retry_after=1}} Why?")
    assert (job["state"], job["attempt"], job["deferrals"]) == ("succeeded", 1, 1)
    assert platform.calls(job["id"]) == 2


def test_a_request_may_wait_for_the_end(platform: Stack) -> None:
    body = {"model": "openai/gpt-4o-mini", "input": "Why?"}
    answer = platform.http.post("/api/jobs", json=body, headers={"Prefer": "wait=20"})
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=20"
    assert answer.json()["state"] == "succeeded"


def test_a_job_that_has_not_changed_is_not_sent_again(platform: Stack) -> None:
    path = f"/api/jobs/{platform.run()['id']}"
    etag = platform.http.get(path).headers["etag"]
    again = platform.http.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_a_cancelled_call_ends_and_its_cost_is_unknown(platform: Stack) -> None:
    job = platform.submit("{{simulate hang}} Why?")
    eventually(lambda: platform.calls(job["id"]))
    assert platform.http.post(f"/api/jobs/{job['id']}/cancel").status_code == 202
    ended = platform.in_state(job["id"], "cancelled")
    assert (ended["unknown_cost_calls"], ended["cost_usd"]) == (1, None)
    assert platform.calls(job["id"]) == 1
