"""The exporter: every required name, the right numbers, no id in any label."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from factory import metrics
from factory.config import Settings
from factory.domain.state import State
from factory.metrics import delta
from factory.services import Services, connect
from factory.store import counters
from tests.integration.pipeline.bench import Bench
from tests.integration.store.samples import claim_one, end, finish, given_job, record_call
from workers.exporter import DatabaseCollector

REQUIRED = {
    "queue_depth": {"lane", "state"},
    "queue_oldest_age_seconds": {"lane"},
    "jobs_finished_total": {"lane", "state"},
    "llm_requests_total": {"provider", "model", "status"},
    "llm_tokens_total": {"provider", "model", "direction"},
    "llm_cost_dollars_total": {"provider", "model"},
    "llm_daily_cost_dollars": set(),
    "llm_request_duration_seconds_bucket": {"provider", "model", "le"},
    "llm_request_duration_seconds_sum": {"provider", "model"},
    "llm_request_duration_seconds_count": {"provider", "model"},
}
IDS = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}|job_|af_")


def _scrape(services: Services) -> dict[str, Metric]:
    registry = CollectorRegistry()
    registry.register(DatabaseCollector(services))
    text = generate_latest(registry).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def _value(families: Mapping[str, Metric], name: str, **labels: str) -> float:
    [value] = [
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return float(value)


@pytest.fixture
def scraped(bench: Bench) -> dict[str, Metric]:
    """After one success, one failure and one job that waits."""
    bench.finished()
    bench.finished(input="Hi. {{simulate status=400}}")
    bench.submit(priority="bulk")
    return _scrape(bench.services)


def test_every_required_metric_is_there_with_its_labels(scraped: dict[str, Metric]) -> None:
    labels = {
        sample.name: set(sample.labels) for family in scraped.values() for sample in family.samples
    }
    assert {name: labels.get(name) for name in REQUIRED} == REQUIRED


def test_the_numbers_are_those_of_the_jobs(scraped: dict[str, Metric]) -> None:
    model = {"provider": "openai", "model": "gpt-4o-mini"}
    assert _value(scraped, "factory_up") == 1
    assert _value(scraped, "queue_depth", lane="openai.bulk", state="queued") == 1
    assert _value(scraped, "jobs_finished_total", lane="openai.normal", state="succeeded") == 1
    assert _value(scraped, "jobs_finished_total", lane="openai.normal", state="failed") == 1
    assert _value(scraped, "llm_requests_total", status="ok", **model) == 1
    assert _value(scraped, "llm_requests_total", status="provider_refused", **model) == 1
    assert _value(scraped, "llm_tokens_total", direction="output", **model) > 0
    dollars = _value(scraped, "llm_cost_dollars_total", **model)
    assert dollars == pytest.approx(_value(scraped, "llm_daily_cost_dollars"))
    assert dollars > 0


def test_the_buckets_grow_to_300_seconds_and_end_with_the_count(
    scraped: dict[str, Metric],
) -> None:
    samples = scraped["llm_request_duration_seconds"].samples
    buckets = [s for s in samples if s.name.endswith("_bucket")]
    assert [sample.labels["le"] for sample in buckets][-2:] == ["300.0", "+Inf"]
    counts = [sample.value for sample in buckets]
    assert counts == sorted(counts)
    [count] = [s.value for s in samples if s.name.endswith("_count")]
    assert counts[-1] == count == 2


def test_no_label_holds_an_id(scraped: dict[str, Metric]) -> None:
    values = {
        value
        for family in scraped.values()
        for sample in family.samples
        for value in sample.labels.values()
    }
    assert [value for value in values if IDS.search(value)] == []


def test_a_call_without_an_end_is_shown(services: Services) -> None:
    job = claim_one(services, given_job(services))
    record_call(services, job, closed=False)
    assert _value(_scrape(services), "llm_calls_abandoned") == 0
    finish(services, end(job, State.FAILED))
    assert _value(_scrape(services), "llm_calls_abandoned") == 1


def test_a_scrape_without_postgres_says_that_it_is_down(services: Services) -> None:
    url = "postgresql://x@/x?host=/nowhere"
    settings = Settings(**{**services.settings.model_dump(), "database_url": url})
    away = connect(settings, "test")
    families = _scrape(away)
    assert set(families) == {"factory_up"}
    assert _value(families, "factory_up") == 0


def _counted(services: Services, models: int) -> None:
    """Each model was called once more than the one before, by old rows that name them all."""
    with services.database.transaction() as tx:
        for place in range(models):
            where = {"provider": "ollama", "model": f"ollama/m{place}"}
            counters.add(
                tx,
                [
                    delta(metrics.LLM_REQUESTS, 1.0 + place, status="ok", **where),
                    delta(metrics.LLM_TOKENS, 1.0, direction="input", **where),
                    delta(metrics.LLM_DURATION_BUCKET, 1.0, le="0.5", **where),
                    delta(metrics.LLM_COST_DOLLARS, 1.0, **where),
                ],
            )


def test_the_models_that_are_used_most_have_names_and_the_rest_is_other(services: Services) -> None:
    _counted(services, 300)
    found = _scrape(services)

    models = {
        sample.labels["model"]
        for family in found.values()
        for sample in family.samples
        if "model" in sample.labels
    }
    assert len(models) == metrics.MODELS_OF_PROVIDER + 1
    assert {"ollama/m299", "ollama/m200", "other"} <= models
    assert "ollama/m199" not in models
    rest = {"provider": "ollama", "model": "other"}
    assert _value(found, "llm_requests_total", status="ok", **rest) == sum(range(1, 201))
    assert _value(found, "llm_cost_dollars_total", **rest) == 200


def test_a_process_counts_no_more_than_so_many_models_of_a_provider() -> None:
    names = metrics.ModelNames()
    given = {names.label("ollama", f"ollama/{place}") for place in range(500)}

    assert len(given) == metrics.MODELS_OF_PROVIDER + 1
    assert names.label("ollama", "ollama/0") == "ollama/0"
    assert names.label("openai", "openai/gpt-4o") == "openai/gpt-4o"


def test_a_scrape_reads_no_call_but_open_ones(services: Services) -> None:
    job = claim_one(services, given_job(services))
    for _ in range(20):
        record_call(services, job, cost_micros=7)
    statements: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    event.listen(services.database.engine, "before_cursor_execute", note)
    _scrape(services)
    event.remove(services.database.engine, "before_cursor_execute", note)

    of_calls = [one for one in statements if "llm_calls" in one]
    assert len(of_calls) == 1
    assert "status = 'open'" in of_calls[0]
    assert "UNION" not in of_calls[0]
