"""Reading the archive costs as much as what is read, however long the history."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from factory.services import Services
from factory.store import jobs, journal, listing, lookup
from factory.store.database import rows
from factory.store.listing import Filter
from tests.integration.retention.past import retain
from tests.integration.store.samples import PROJECT, ask, tell

HISTORY = """
WITH made AS (
    INSERT INTO jobs (id, project_id, kind, state, lane, provider, priority, max_attempts, finished_at)
    SELECT gen_random_uuid(), %(project)s, 'completion', 'succeeded', 'openai.normal', 'openai',
           'normal', 5, now() - make_interval(hours => 2 + n / 10)
      FROM generate_series(1, 9000) n
    RETURNING id, finished_at
), payloads AS (
    INSERT INTO job_requests (job_id, input) SELECT id, '{}' FROM made
), calls AS (
    INSERT INTO llm_calls (id, job_id, project_id, step_key, attempt, provider, model, status,
                           started_at, cost_micros)
    SELECT gen_random_uuid(), id, %(project)s, 'answer', 1, 'openai', 'gpt-4o-mini', 'succeeded',
           finished_at, 1
      FROM made
)
INSERT INTO job_outcomes (job_id, output, input_tokens, output_tokens, cached_tokens, unknown_calls)
SELECT id, '{}', 1, 1, 0, 0 FROM made
"""
PAGE = {"project_id": str(PROJECT), "limit": 20}


@pytest.fixture(scope="module")
def history(module_services: Services) -> Services:
    """9,000 jobs of the last 37 days, archived."""
    services = module_services
    tell(services, HISTORY, project=str(PROJECT))
    retain(services)
    assert ask(services, "SELECT FROM jobs") == []
    connection = services.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    connection.exec_driver_sql("VACUUM ANALYZE")
    connection.close()
    return services


def _rows_read(services: Services, statement: str, params: dict[str, Any]) -> float:
    with services.database.transaction() as tx:
        [row] = rows(tx, f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", params)
    plan = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in _nodes(plan[0]["Plan"])
        if "Relation Name" in node
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _some_id(services: Services) -> str:
    return str(ask(services, "SELECT id FROM jobs_archive LIMIT 1")[0].id)


def test_one_archived_job_is_read_by_its_id(history: Services) -> None:
    params = {"ids": [_some_id(history)], "project_ids": [str(PROJECT)], "since": lookup.EVER}
    # A partition of a page or two is scanned rather than searched.
    assert _rows_read(history, jobs.GET_ARCHIVED, params) < 100


@pytest.mark.parametrize("of", [listing.statement, listing.listed_statement])
def test_a_page_reads_a_page(history: Services, of: Callable[[Filter, None], str]) -> None:
    assert _rows_read(history, of(Filter(), None), PAGE) <= 3 * PAGE["limit"]


def test_a_scrape_reads_no_history(history: Services) -> None:
    assert _rows_read(history, journal.ABANDONED, {}) == 0
