"""Events of jobs for Flower.

Celery's own events are about messages. A message may carry many jobs, and counts as a success even if its job failed.
So Celery sends no events for messages with jobs (`send_events=False`); each job has events of its own, under its
public id. They carry no input, and the error as its owner sees it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from celery.app import events as celery_events
from celery.events.dispatcher import EventDispatcher
from celery.worker.consumer import Consumer

from factory.domain.job import ClaimedJob, JobError, public_id
from factory.domain.state import State
from factory.store.quarantine import QuarantinedJob
from workers.pool import on_consumer_thread

ENDS = {
    State.SUCCEEDED: "task-succeeded",
    State.FAILED: "task-failed",
    State.CANCELLED: "task-revoked",
    State.QUEUED: "task-retried",
    State.WAITING: "task-retried",
}
"""The event for each state that an attempt can end in."""
NO_REASON = {
    State.FAILED: "its outcome could not be stored",
    State.QUEUED: "given back: the worker stops",
}
"""The reason for an attempt that ended in this state without an error."""
LONGEST_REASON = 300

Tell = Callable[[str, Mapping[str, Any]], None]


class JobEvents:
    """Sends the events of the jobs that this process runs. Used on the loop; does nothing while events are off."""

    def __init__(self, clean: Callable[[str], str], tell: Tell | None = None) -> None:
        """`clean` takes secrets out of a text. Without `tell` nothing is sent until `attach` finds that events are on."""
        self._clean = clean
        self._tell = tell
        self._consumer: Consumer | None = None
        self._started_s: dict[UUID, float] = {}
        self._begun = 0

    @property
    def listening(self) -> bool:
        """Whether events are sent."""
        return self._tell is not None

    @property
    def active(self) -> int:
        """Jobs that run now. From any thread."""
        return len(self._started_s)

    @property
    def begun(self) -> int:
        """Attempts that were begun, those that still run included. From any thread."""
        return self._begun

    def attach(self, sender: Consumer, **_signal: object) -> None:
        """Receiver of `worker_ready`. The consumer survives the loss of its connection."""
        self._consumer = sender
        if sender.event_dispatcher and sender.event_dispatcher.enabled:
            self._tell = self._post

    def started(self, job: ClaimedJob | QuarantinedJob) -> None:
        """The job was claimed here, or by a process of this worker."""
        if self._tell is None:
            return
        self._started_s[job.id] = time.monotonic()
        self._begun += 1
        event = {"uuid": public_id(job.id), "timestamp": time.time()}
        # Both events carry all fields, for a Flower that starts in between.
        told = {**event, **_described(job)}
        self._tell("task-received", told)
        self._tell("task-started", told)

    def ended(self, job_id: UUID, state: State | None, error: JobError | None = None) -> None:
        """The worker is done with the job. Sends nothing for a job that it had not claimed."""
        started_s = self._started_s.pop(job_id, None)
        if self._tell is None or started_s is None or state is None:
            return
        about = {"uuid": public_id(job_id), "timestamp": time.time()}
        runtime_s = time.monotonic() - started_s
        self._tell(ENDS[state], {**about, "runtime": runtime_s, **self._end(state, error)})

    def _end(self, state: State, error: JobError | None) -> dict[str, Any]:
        if state is State.SUCCEEDED:
            return {"result": state.value}
        reason = f"{error.type}: {error.message}" if error else NO_REASON.get(state, state.value)
        why = {"exception": self._clean(reason)[:LONGEST_REASON], "traceback": ""}
        if state is State.CANCELLED:
            return {**why, "terminated": True, "signum": None, "expired": False}
        return why

    def _post(self, event: str, fields: Mapping[str, Any]) -> None:
        """Sends from the consumer's thread, which alone may use its connection."""
        on_consumer_thread(self._send, event, fields)

    def _send(self, event: str, fields: Mapping[str, Any]) -> None:
        if self._consumer and self._consumer.event_dispatcher:
            self._consumer.event_dispatcher.send(event, **fields)


def _described(job: ClaimedJob | QuarantinedJob) -> dict[str, Any]:
    """What Flower's columns show of a job, as Python literals like Celery's own."""
    about = {"model": job.model, "agent": job.agent, "lane": job.lane, "attempt": job.attempt}
    return {
        "name": job.kind.value,
        # Flower's table cuts a column after some 30 characters.
        "args": repr(tuple(name for name in (job.model, job.agent) if name)),
        "kwargs": repr({name: value for name, value in about.items() if value is not None}),
        "retries": job.attempt - 1,
        "exchange": job.lane,
        "routing_key": job.lane,
    }


class JobCounts(EventDispatcher):  # type: ignore[misc]
    """Puts the numbers of jobs into Celery's heartbeats, in place of numbers of messages."""

    def send(self, type: str, **fields: Any) -> None:
        """Sends an event of this type, as Celery does."""
        events: JobEvents | None = self.app.job_events
        if events and "active" in fields:
            fields |= {"active": events.active, "processed": events.begun}
        super().send(type, **fields)


class Events(celery_events.Events):  # type: ignore[misc]
    """Celery's events, with heartbeats that count jobs."""

    dispatcher_cls = JobCounts
