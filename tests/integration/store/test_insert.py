"""Jobs written."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from factory.domain.job import Kind, NewJob, new_id
from factory.domain.lanes import Priority
from factory.services import Services
from factory.store import jobs
from tests.integration.store.samples import PROJECT

JOB = NewJob(
    id=new_id(),
    project_id=PROJECT,
    kind=Kind.COMPLETION,
    provider="openai",
    priority=Priority.HIGH,
    input={"messages": []},
    model="openai/gpt-4o-mini",
    metadata={"customer": "7"},
    max_attempts=3,
    traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
)


def test_what_is_given_for_a_new_job_is_what_reading_it_gives(services: Services) -> None:
    later = datetime(2031, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=2)))
    other = replace(JOB, id=new_id(), parent_id=new_id(), task_id=new_id(), run_at=later)
    with services.database.transaction() as tx:
        times = jobs.accept(tx, [JOB, other])
        given = [jobs.queued(*one) for one in zip((JOB, other), times, strict=True)]
        assert given == [jobs.get(tx, PROJECT, job.id) for job in (JOB, other)]
