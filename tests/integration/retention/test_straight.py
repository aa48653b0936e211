"""Ends that go straight into the archive, beside partitions that are made and dropped."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from factory.domain.job import made_at, new_id
from factory.domain.period import Period
from factory.domain.state import State
from factory.errors import Unavailable
from factory.pipeline.run.attempt import Ending, end_attempts
from factory.services import Services
from factory.store import archive, details, jobs, partitions
from factory.store.database import array, rows
from factory.store.lookup import Look
from factory.store.partitions import CONTENTS, FAMILIES, Family
from factory.store.prepared import prepared_form
from tests.integration.retention.past import count, places, retain
from tests.integration.store.samples import PROJECT, claim_one, end, given_job, record_call, view


def end_one(services: Services) -> UUID:
    """A job that has succeeded, as a worker ends it."""
    job = claim_one(services, given_job(services))
    record_call(services, job)
    with services.database.transaction() as tx:
        end_attempts(tx, [Ending(end(job, State.SUCCEEDED, output={"text": "hello"}))])
    return job.id


def _make(services: Services, family: Family, when: datetime) -> bool:
    [span] = family.period.spans(when, when)
    with services.database.transaction() as tx:
        archive.be_brief(tx)
        return partitions.make(tx, family, span)


def test_an_end_before_the_first_round_of_retention_is_taken_over_by_it(services: Services) -> None:
    job_id = end_one(services)
    assert [count(services, f"{one.table}_default") for one in FAMILIES] == [1, 1, 1]
    retain(services)
    assert [count(services, f"{one.table}_default") for one in FAMILIES] == [0, 0, 0]
    assert places(services, job_id) == ["jobs_archive"]
    assert view(services, job_id).output == {"text": "hello"}


def test_ends_go_on_while_a_partition_cannot_be_dropped(services: Services) -> None:
    retain(services)
    old = datetime.now(UTC) - timedelta(days=100)
    assert _make(services, CONTENTS, old)
    ended, longest_s, done = list[UUID](), [0.0], threading.Event()

    def end_many() -> None:
        while not done.is_set():
            began = time.monotonic()
            ended.append(end_one(services))
            longest_s[0] = max(longest_s[0], time.monotonic() - began)

    worker = threading.Thread(target=end_many)
    worker.start()
    try:
        with _reading(services, "job_contents"):
            for _ in range(3):
                with pytest.raises(Unavailable):
                    retain(services)
    finally:
        done.set()
        worker.join(60)
    retain(services)
    assert len(ended) > 1
    assert longest_s[0] < 20
    assert {place for one in ended for place in places(services, one)} == {"jobs_archive"}


@contextmanager
def _reading(services: Services, table: str) -> Iterator[None]:
    """A transaction that may be idle for as long as it likes, as pg_dump is busy for an hour."""
    with closing(psycopg2.connect(services.settings.libpq_url)) as connection:
        connection.cursor().execute(f"SELECT FROM {table}")
        yield


@pytest.mark.parametrize(
    "look", [jobs.LOOKS.archived, details.LOOKS.archived, details.SMALL_LOOKS.archived]
)
def test_a_look_opens_no_partition_of_before_the_job(services: Services, look: Look) -> None:
    """Also in a plan that was made without knowing for whom."""
    retain(services)
    first = Period.MONTH.shift(Period.MONTH.start(datetime.now(UTC)), -12)
    for family in FAMILIES:
        _make(services, family, first)
    before = {f"{family.table}_{first.strftime(family.period.value)}" for family in FAMILIES}
    young = _tables_read(services, look, new_id())
    assert not before & young
    assert any(name.startswith("jobs_archive_2") for name in young)
    old = UUID(int=new_id().int - (400 * 86_400_000 << 80))
    assert f"jobs_archive_{first:%Y_%m}" in _tables_read(services, look, old)


def _tables_read(services: Services, look: Look, job_id: UUID) -> set[str]:
    form = prepared_form(*look)
    params = {
        "ids": array([job_id]),
        "project_ids": array([PROJECT]),
        "since": made_at(job_id).isoformat(),
    }
    with services.database.engine.connect() as tx:
        [row] = rows(
            tx, "DEALLOCATE ALL;" + form.prepare + "EXPLAIN (FORMAT JSON) " + form.execute, params
        )
        tx.rollback()
    plan = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    return {node["Relation Name"] for node in _nodes(plan[0]["Plan"]) if "Relation Name" in node}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
