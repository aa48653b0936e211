"""Jobs written."""

from __future__ import annotations

from dataclasses import replace

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
    for job in (JOB, replace(JOB, id=new_id(), parent_id=new_id(), task_id=new_id())):
        with services.database.transaction() as tx:
            given = jobs.insert_one(tx, job)
            assert given == jobs.get(tx, PROJECT, job.id)
