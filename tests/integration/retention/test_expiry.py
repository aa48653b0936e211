"""Content goes after 30 days, the log of webhooks with it, keys after two; usage and cost stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from factory.domain.job import first_id, new_id
from factory.pipeline.upkeep.retention import LARGEST_BATCH, limits
from factory.services import Services
from factory.store import deliveries, listing
from factory.store.deliveries import Attempt
from factory.store.listing import Filter
from tests.integration.retention.past import (
    COST_MICROS,
    DAY,
    HOUR,
    count,
    find,
    given_ended,
    retain,
    set_ended,
)
from tests.integration.store.samples import PROJECT, ask, tell, view

TTL_DAYS = 30


def test_content_lives_for_its_days(services: Services) -> None:
    job_id = given_ended(services, ago=TTL_DAYS * DAY - HOUR)
    retain(services)
    job = view(services, job_id)
    assert (job.output, job.expired) == ({"text": "hello"}, False)


def test_content_is_gone_a_day_later_and_usage_stays(services: Services) -> None:
    job_id = given_ended(services, ago=(TTL_DAYS + 1) * DAY, metadata={"customer": "42"})
    retain(services)
    job = view(services, job_id)
    assert count(services, "job_contents") == 0
    assert (job.output, job.error, job.expired) == (None, None, True)
    assert (job.input_tokens, job.output_tokens, job.cost_micros) == (3, 5, COST_MICROS)
    assert job.metadata == {"customer": "42"}
    assert count(services, "llm_calls_archive") == 1


def test_a_day_of_content_goes_at_once(services: Services) -> None:
    """What was archived in time is dropped with its partition, not row by row."""
    ended = datetime.now(UTC) - (TTL_DAYS - 1) * DAY
    set_ended(services, given_ended(services), ended)
    retain(services)
    name = f"job_contents_{ended:%Y_%m_%d}"
    assert count(services, name) == 1
    shifted = services.settings.model_copy(update={"payload_ttl_days": TTL_DAYS - 3})
    retain(replace(services, settings=shifted))
    assert count(services, "job_contents") == 0
    assert tell(services, "SELECT FROM pg_class WHERE relname = %(name)s", name=name) == 0


def test_expired_jobs_are_still_listed(services: Services) -> None:
    job_id = given_ended(services, ago=40 * DAY)
    retain(services)
    with services.database.transaction() as tx:
        [job] = listing.find(tx, PROJECT, Filter(), limit=10, after=None)
    assert (job.id, job.expired, job.cost_micros) == (job_id, True, COST_MICROS)


def test_after_its_months_nothing_is_left(services: Services) -> None:
    job_id = given_ended(services, ago=500 * DAY)
    retain(services)
    assert find(services, job_id) is None
    for table in ("jobs", "jobs_archive", "job_contents", "llm_calls", "llm_calls_archive"):
        assert count(services, table) == 0


def test_content_is_kept_no_longer_than_its_job() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    bounds = limits(now, months=1, days=90)
    assert bounds.kept == bounds.content == datetime(2026, 10, 1, tzinfo=UTC)


def test_the_log_of_webhooks_goes_with_the_content(services: Services) -> None:
    now = datetime.now(UTC)
    old, young = first_id(now - (TTL_DAYS + 1) * DAY), first_id(now - (TTL_DAYS - 1) * DAY)
    with services.database.transaction() as tx:
        deliveries.log(tx, [_attempt(attempt_id) for attempt_id in (old, young, new_id())])
    retain(services)
    kept = [row.id for row in ask(services, "SELECT id FROM webhook_deliveries ORDER BY id")]
    assert (kept[0], len(kept)) == (young, 2)


def _attempt(attempt_id: UUID) -> Attempt:
    return Attempt(
        attempt_id, PROJECT, new_id(), 1, "http://127.0.0.1:9/", "job.failed", None, None, 1
    )


def test_idempotency_keys_go_after_two_days_however_many(services: Services) -> None:
    tell(
        services,
        "INSERT INTO idempotency_keys (project_id, key, request_hash, created_at)"
        " SELECT gen_random_uuid(), n::text, '', now() - CASE WHEN n = 1 THEN interval '1 day'"
        " ELSE interval '3 days' END FROM generate_series(1, %(keys)s) n",
        keys=2 * LARGEST_BATCH + 2,
    )
    retain(services)
    assert count(services, "idempotency_keys") == 1
