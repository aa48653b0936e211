from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from celery.exceptions import Ignore

from factory.domain.job import ClaimedJob, Kind, new_id, public_id
from factory.domain.state import State
from workers.events import MessageEvents


class Listener:
    """What Flower would hear, as (event, job's id)."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def tell(self, event: str, fields: Mapping[str, Any]) -> None:
        self.heard.append((event, fields["uuid"]))


def claimed() -> ClaimedJob:
    return ClaimedJob(
        id=new_id(),
        project_id=new_id(),
        kind=Kind.COMPLETION,
        lane="openai.bulk",
        provider="openai",
        model="openai/gpt-4o-mini",
        attempt=1,
        max_attempts=5,
        deferrals=0,
        lease_token=1,
        seconds_left=None,
        max_cost_micros=None,
        spent_micros=0,
        input={},
        params={},
        fallbacks=(),
        webhook_url=None,
        traceparent=None,
        steps={},
    )


def test_each_job_of_many_has_events_of_its_own() -> None:
    listener, jobs = Listener(), (claimed(), claimed())
    events = MessageEvents(listener.tell, len(jobs))
    for job, state in zip(jobs, (State.SUCCEEDED, State.FAILED), strict=True):
        events.started(job)
        events.ended(job.id, state)
    events.settle()
    first, second = (public_id(job.id) for job in jobs)
    begin = ("task-received", "task-started")
    assert listener.heard == [
        *((event, first) for event in (*begin, "task-succeeded")),
        *((event, second) for event in (*begin, "task-failed")),
    ]


def test_of_a_job_alone_celery_tells_unless_it_did_not_succeed() -> None:
    listener, job = Listener(), claimed()
    events = MessageEvents(listener.tell, 1)
    events.started(job)
    events.ended(job.id, State.SUCCEEDED)
    events.settle()
    assert listener.heard == []


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State.FAILED, "task-failed"),
        (State.CANCELLED, "task-revoked"),
        (State.QUEUED, "task-retried"),
        (State.WAITING, "task-retried"),
    ],
)
def test_a_job_alone_that_did_not_succeed_is_no_success_of_its_message(
    state: State, event: str
) -> None:
    listener, job = Listener(), claimed()
    events = MessageEvents(listener.tell, 1)
    events.started(job)
    events.ended(job.id, state)
    assert listener.heard == [(event, public_id(job.id))]
    with pytest.raises(Ignore):
        events.settle()


def test_of_a_job_that_another_worker_holds_nothing_is_told() -> None:
    listener, stale = Listener(), claimed()
    events = MessageEvents(listener.tell, 2)
    events.ended(new_id(), None)
    events.started(stale)
    events.ended(stale.id, None)
    assert [event for event, _ in listener.heard] == ["task-received", "task-started"]


def test_without_listeners_nothing_is_told_and_the_message_is_celerys() -> None:
    job = claimed()
    events = MessageEvents(None, 1)
    events.started(job)
    events.ended(job.id, State.FAILED)
    events.settle()
