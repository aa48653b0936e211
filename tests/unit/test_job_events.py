from __future__ import annotations

from ast import literal_eval
from collections.abc import Mapping
from typing import Any

import pytest

from factory.domain.job import ClaimedJob, JobError, Kind, new_id, public_id
from factory.domain.state import State
from workers.events import LONGEST_REASON, JobEvents


class Listener:
    """What Flower would hear, as (event, fields)."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Mapping[str, Any]]] = []

    def tell(self, event: str, fields: Mapping[str, Any]) -> None:
        self.heard.append((event, fields))


def claimed(**changes: Any) -> ClaimedJob:
    values: dict[str, Any] = {
        "id": new_id(),
        "project_id": new_id(),
        "kind": Kind.COMPLETION,
        "lane": "openai.bulk",
        "provider": "openai",
        "model": "openai/gpt-4o-mini",
        "agent": "summarizer",
        "attempt": 2,
        "max_attempts": 5,
        "deferrals": 0,
        "lease_token": 1,
        "seconds_left": None,
        "max_cost_micros": None,
        "spent_micros": 0,
        "input": {"messages": [{"role": "user", "content": "a private question"}]},
        "params": {"system": "a private prompt"},
        "fallbacks": (),
        "webhook_url": "https://example.com/private",
        "traceparent": None,
        "steps": {},
    }
    return ClaimedJob(**{**values, **changes})


def clean(text: str) -> str:
    return text.replace("sk-secret", "[redacted]")


def test_each_job_has_events_of_its_own() -> None:
    listener, jobs = Listener(), (claimed(), claimed())
    events = JobEvents(clean, listener.tell)
    for job, state in zip(jobs, (State.SUCCEEDED, State.FAILED), strict=True):
        events.started(job)
        events.ended(job.id, state)
    first, second = (public_id(job.id) for job in jobs)
    begin = ("task-received", "task-started")
    assert [(event, fields["uuid"]) for event, fields in listener.heard] == [
        *((event, first) for event in (*begin, "task-succeeded")),
        *((event, second) for event in (*begin, "task-failed")),
    ]


def test_a_row_tells_what_the_job_is_and_not_what_it_was_asked() -> None:
    listener, job = Listener(), claimed()
    events = JobEvents(clean, listener.tell)
    events.started(job)
    events.ended(job.id, State.SUCCEEDED)
    for event, fields in listener.heard[:2]:
        assert event in ("task-received", "task-started")
        assert fields["name"] == "completion"
        assert fields["routing_key"] == "openai.bulk"
        assert fields["retries"] == 1
        assert literal_eval(fields["args"]) == ("openai/gpt-4o-mini", "summarizer")
        assert literal_eval(fields["kwargs"]) == {
            "model": "openai/gpt-4o-mini",
            "agent": "summarizer",
            "lane": "openai.bulk",
            "attempt": 2,
        }
    assert listener.heard[2][1]["runtime"] >= 0
    assert "private" not in repr(listener.heard)


def test_what_a_job_does_not_have_is_not_told() -> None:
    listener = Listener()
    job = claimed(kind=Kind.WEBHOOK, model=None, agent=None, lane="webhook.normal")
    JobEvents(clean, listener.tell).started(job)
    assert literal_eval(listener.heard[0][1]["kwargs"]) == {"lane": "webhook.normal", "attempt": 2}


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State.FAILED, "task-failed"),
        (State.CANCELLED, "task-revoked"),
        (State.QUEUED, "task-retried"),
        (State.WAITING, "task-retried"),
    ],
)
def test_an_end_without_success_says_why(state: State, event: str) -> None:
    listener, job = Listener(), claimed()
    events = JobEvents(clean, listener.tell)
    events.started(job)
    error = JobError("provider_unavailable", "sk-secret does not help" + "!" * 3000, retryable=True)
    events.ended(job.id, state, error)
    told, fields = listener.heard[-1]
    assert told == event
    assert fields["exception"].startswith("provider_unavailable: [redacted] does not help!")
    assert len(fields["exception"]) == LONGEST_REASON


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.FAILED, "its outcome could not be stored"),
        (State.QUEUED, "given back: the worker stops"),
    ],
)
def test_an_end_without_an_error_has_a_reason_too(state: State, reason: str) -> None:
    listener, job = Listener(), claimed()
    events = JobEvents(clean, listener.tell)
    events.started(job)
    events.ended(job.id, state)
    assert listener.heard[-1][1]["exception"] == reason


def test_of_a_job_that_another_worker_holds_nothing_is_told() -> None:
    listener, stale = Listener(), claimed()
    events = JobEvents(clean, listener.tell)
    events.ended(new_id(), None)
    events.started(stale)
    events.ended(stale.id, None)
    assert [event for event, _ in listener.heard] == ["task-received", "task-started"]
    assert events.active == 0


def test_jobs_are_counted_and_not_messages() -> None:
    jobs = [claimed() for _ in range(3)]
    events = JobEvents(clean, Listener().tell)
    for job in jobs:
        events.started(job)
    events.ended(jobs[0].id, State.SUCCEEDED)
    assert (events.active, events.begun) == (2, 3)


def test_without_listeners_nothing_is_kept() -> None:
    job = claimed()
    events = JobEvents(clean)
    events.started(job)
    assert (events.active, events.begun) == (0, 0)
    events.ended(job.id, State.FAILED)
