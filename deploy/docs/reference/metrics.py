"""The page of metrics: what the exporter serves on an empty database."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.core import Metric

from api.meter import Meter
from deploy.docs.reference.table import table
from factory.config import load_settings
from factory.embedded.postgres import EmbeddedPostgres
from factory.metrics import DURATION_BUCKETS_S, HTTP_BUCKETS_S, HTTP_DURATION
from factory.services import Services, connect
from factory.store.migrate import upgrade
from workers.exporter import HISTOGRAM, DatabaseCollector

INTRO = """# Reference: metrics

The *exporter* serves them on `METRICS_PORT`. It reads Postgres at each scrape, so they are the truth of all processes, and nothing is
lost with one. Each *gateway* serves its own, of all its processes, on `GATEWAY_METRICS_PORT`. No label holds the id of a job or of a
project.
"""
SECRET_LETTERS = 32
BUCKETS = {HISTOGRAM: DURATION_BUCKETS_S, HTTP_DURATION: HTTP_BUCKETS_S}


def page() -> str:
    """The page's Markdown."""
    rows = [
        (f"`{_name(one)}`", by, one.type, ", ".join(map("`{}`".format, labels)), one.documentation)
        for one, by, labels in sorted(served(), key=lambda found: found[0].name)
    ]
    return "\n".join(
        [
            INTRO,
            *table(("metric", "served by", "type", "labels", "what it is"), rows),
            *(
                f"Buckets of `{name}`, in seconds: {', '.join(f'{bound:g}' for bound in bounds)}.\n"
                for name, bounds in BUCKETS.items()
            ),
        ]
    )


def served() -> list[tuple[Metric, str, tuple[str, ...]]]:
    """Every family with who serves it and its labels, from a Postgres of its own."""
    with _services() as services:
        exported = [
            (one, "exporter", _labels(one)) for one in DatabaseCollector(services).collect()
        ]
        return exported + list(_of_gateway(services))


def _of_gateway(services: Services) -> Iterator[tuple[Metric, str, tuple[str, ...]]]:
    registry = Meter(services.database).registry
    for collector in list(registry._collector_to_names):
        for one in collector.collect():
            yield one, "gateway", _labels(collector)


@contextmanager
def _services() -> Iterator[Services]:
    with tempfile.TemporaryDirectory(prefix="factory-metrics-") as scratch:
        Path(scratch).chmod(0o711)
        postgres = EmbeddedPostgres(Path(scratch) / "postgres")
        try:
            url = postgres.start()
            upgrade(url)
            given = {
                "DATABASE_URL": url,
                "REDIS_URL": "redis://127.0.0.1:1",
                "SECRET_KEY": "x" * SECRET_LETTERS,
                "ALLOW_WEAK_SETTINGS": "true",
            }
            services = connect(load_settings(given), "reference")
            try:
                yield services
            finally:
                services.close()
        finally:
            postgres.stop()


def _name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _labels(declared: object) -> tuple[str, ...]:
    """As prometheus_client keeps them: a family without samples has them too."""
    return tuple(getattr(declared, "_labelnames", ()))
