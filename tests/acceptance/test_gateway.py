"""The gateway's processes may die; what they promised stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.acceptance.stack import Job, Stack, eventually

BODY = {
    "model": "openai/gpt-4o-mini",
    "input": "{{simulate latency_ms=12000}} Why?",
    "metadata": {"test": "crash"},
}


def submit(platform: Stack, key: str) -> Job | None:
    """The answer, or None if the gateway died meanwhile."""
    headers = {"Idempotency-Key": key, "Prefer": "wait=20"}
    try:
        with platform.client(retries=5) as client:
            answer = client.post("/api/jobs", json=BODY, headers=headers)
    except httpx.TransportError:
        return None
    assert answer.status_code in (200, 202), answer.text
    job: Job = answer.json()
    return job


def called(platform: Stack) -> Job | None:
    """The test's job, once a provider was called for it."""
    page = platform.http.get("/api/jobs", params={"metadata[test]": "crash"}).json()
    return next((job for job in page["data"] if platform.calls(job["id"])), None)


def test_a_request_sent_again_after_a_gateway_died_is_the_same_job(platform: Stack) -> None:
    with ThreadPoolExecutor(1) as hand:
        first = hand.submit(submit, platform, "after-a-crash")
        job = eventually(lambda: called(platform))
        for process in platform.gateway_workers():
            process.kill()
        assert first.result() is None
    again = eventually(lambda: submit(platform, "after-a-crash"))
    assert again["id"] == job["id"]
    assert platform.ended(job["id"])["state"] == "succeeded"
    assert platform.calls(job["id"]) == 1


def test_the_same_key_with_another_body_is_refused(platform: Stack) -> None:
    headers = {"Idempotency-Key": "one-body"}
    bodies = [{"model": "openai/gpt-4o-mini", "input": text} for text in ("Why?", "How?")]
    answers = [platform.http.post("/api/jobs", json=body, headers=headers) for body in bodies]
    assert [answer.status_code for answer in answers] == [202, 422]
