"""The exporter and the gateway count what was submitted, and nothing else."""

from __future__ import annotations

from collections import Counter

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from factory import metrics
from tests.acceptance.stack import Stack, eventually

MODEL = "ollama/phi4"
NAMES = {
    "factory_up",
    "queue_depth",
    "queue_oldest_age_seconds",
    "jobs_finished",
    "llm_requests",
    "llm_tokens",
    "llm_cost_dollars",
    "llm_unknown_cost_calls",
    "llm_request_duration_seconds",
    "llm_daily_cost_dollars",
    "llm_calls_abandoned",
    "workers_live",
    "leases_expired",
    "dispatch_rounds",
}
GATEWAY_NAMES = {"http_requests", "http_request_duration_seconds", *metrics.GATEWAY_GAUGES}


def exported(platform: Stack) -> list[Metric]:
    urls = (platform.metrics_url, platform.gateway_metrics_url)
    text = "".join(httpx.get(url, timeout=60).text for url in urls)
    return list(text_string_to_metric_families(text))


def scrape(platform: Stack, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    return sum(
        sample.value
        for family in exported(platform)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def counts(platform: Stack) -> Counter[str]:
    provider = {"provider": "ollama", "model": "phi4"}
    lane = "ollama.low"
    finished = "jobs_finished_total"
    return Counter(
        {
            "succeeded": scrape(platform, finished, lane=lane, state="succeeded"),
            "failed": scrape(platform, finished, lane=lane, state="failed"),
            "ok": scrape(platform, "llm_requests_total", status="ok", **provider),
            "calls": scrape(platform, "llm_requests_total", **provider),
            "timed": scrape(platform, "llm_request_duration_seconds_count", **provider),
            "output": scrape(platform, "llm_tokens_total", direction="output", **provider),
        }
    )


def test_every_metric_is_there(platform: Stack) -> None:
    platform.run()
    assert {family.name for family in exported(platform)} >= NAMES | GATEWAY_NAMES
    assert scrape(platform, "factory_up") == 1
    eventually(lambda: scrape(platform, "workers_live") == 1)


def test_counts_are_those_of_the_jobs(platform: Stack) -> None:
    before = counts(platform)
    texts = ["Why?"] * 3 + ["{{simulate status=400}} Why?", "{{simulate status=500 times=1}} Why?"]
    bodies = [{"model": MODEL, "input": text, "priority": "low"} for text in texts]
    jobs = platform.all_ended(platform.submit_lines(bodies)["ids"])
    output_tokens = sum(job["usage"]["output_tokens"] for job in jobs)
    after = counts(platform)
    after.subtract(before)
    assert after == Counter(succeeded=4, failed=1, ok=4, calls=6, timed=6, output=output_tokens)


def test_requests_are_counted_by_route_and_status(platform: Stack) -> None:
    def unknown() -> float:
        return scrape(platform, "http_requests_total", route="/api/jobs/<job_id>", status="404")

    before = unknown()
    for _ in range(3):
        assert platform.http.get("/api/jobs/job_0").status_code == 404
    eventually(lambda: unknown() == before + 3)
