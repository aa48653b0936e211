"""What a scrape of the exporter costs with five million calls of the day, beside one with ten thousand.

Two databases on one server take turns. Both hold as many rows of running sums as are left before they are
compacted.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, at_most_times
from benchmarks.flatness import database
from benchmarks.stand import Scale, running_stand
from factory.services import Services
from factory.store.database import run
from workers.exporter import DatabaseCollector

FEW = 10_000
TIMES = 1.2
CHUNK = 250_000
SCRAPES = 30
SUMS = 2_000
CALLS = """
INSERT INTO llm_calls (id, job_id, project_id, step_key, attempt, provider, model, started_at, finished_at,
                       status, input_tokens, output_tokens, cached_tokens, cost_micros, latency_ms)
SELECT uuidv7(-age), uuidv7(-age), md5((n %% 10)::text)::uuid, 'answer', 1, 'openai', 'gpt-4o-mini',
       now() - age, now() - age, 'succeeded', 12, 30, 0, 20, 900
  FROM generate_series(1, %(count)s) n, LATERAL (SELECT make_interval(secs => n / 300.0) AS age) drawn
"""
RUNNING_SUMS = """
INSERT INTO counters (metric, labels, amount)
SELECT 'llm_requests_total',
       jsonb_build_object('model', 'model-' || n %% 100, 'provider', 'openai', 'status', 'succeeded'), 1
  FROM generate_series(1, %(count)s) n
"""


def figures(scale: Scale) -> Iterator[Figure]:
    """A scrape reads running sums: it does not grow with the calls."""
    many = 500_000 if scale.quick else 5_000_000
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
        ExitStack() as stack,
    ):
        both = [database(stand, f"calls_{count}", stack) for count in (FEW, many)]
        for services, count in zip(both, (FEW, many), strict=True):
            _fill(services, count)
        took_ms: list[list[float]] = [[], []]
        for _ in range(SCRAPES):
            for services, took in zip(both, took_ms, strict=True):
                took.append(_scrape(services))
        few, ours = map(median, took_ms)
        against, note = f"{FEW:,} calls of the day", f"{many:,} calls of the day"
        yield Figure("scrape", ours, "ms", at_most_times(TIMES), few, against, note)


def _fill(services: Services, count: int) -> None:
    with services.database.transaction() as tx:
        run(tx, RUNNING_SUMS, {"count": SUMS})
    for first in range(0, count, CHUNK):
        with services.database.transaction(answer_s=120) as tx:
            run(tx, "SET LOCAL statement_timeout = '120s'")
            run(tx, CALLS, {"count": min(CHUNK, count - first)})


def _scrape(services: Services) -> float:
    started = time.perf_counter()
    found = {metric.name for metric in DatabaseCollector(services).collect()}
    took_ms = 1000 * (time.perf_counter() - started)
    if "llm_daily_cost_dollars" not in found:
        raise RuntimeError("the scrape was empty")
    return took_ms
