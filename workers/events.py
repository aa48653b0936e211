"""What Flower hears of jobs.

Celery's own events tell of messages. A message may carry many jobs, and one whose job failed would be called a
success. So Celery tells nothing of messages with jobs (`send_events=False`), and each job has events of its own,
with its public id. They carry no input, and an error as its owner reads it.
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
"""The event of each state that an attempt can end in."""
NO_REASON = {
    State.FAILED: "its outcome could not be stored",
    State.QUEUED: "given back: the worker stops",
}
"""Of an attempt that ended so without an error of its own."""
LONGEST_REASON = 300

Tell = Callable[[str, Mapping[str, Any]], None]


class JobEvents:
    """The jobs that this process runs, and its way to Flower. Belongs to the loop; of no effect while events are off."""

    def __init__(self, clean: Callable[[str], str], tell: Tell | None = None) -> None:
        """`clean` takes secrets out of a text. `tell` None: nobody listens, until `attach` finds otherwise."""
        self._clean = clean
        self._tell = tell
        self._consumer: Consumer | None = None
        self._started_s: dict[UUID, float] = {}
        self._begun = 0

    @property
    def listening(self) -> bool:
        """Whether somebody hears what is told."""
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
        """Receiver of `worker_ready`. The consumer lives on when its connection does not."""
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
        # Both carry all of it: a Flower that starts in between knows the job nevertheless.
        told = {**event, **_described(job)}
        self._tell("task-received", told)
        self._tell("task-started", told)

    def ended(self, job_id: UUID, state: State | None, error: JobError | None = None) -> None:
        """The worker is done with the job; of one that was not its own there is nothing to tell."""
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
        """Has the consumer's thread send it, which alone may use its connection."""
        on_consumer_thread(self._send, event, fields)

    def _send(self, event: str, fields: Mapping[str, Any]) -> None:
        if self._consumer and self._consumer.event_dispatcher:
            self._consumer.event_dispatcher.send(event, **fields)


def _described(job: ClaimedJob | QuarantinedJob) -> dict[str, Any]:
    """What Flower's columns show of a job, in the spelling of Python, as Celery's own."""
    about = {"model": job.model, "agent": job.agent, "lane": job.lane, "attempt": job.attempt}
    return {
        "name": job.kind.value,
        # In the table all but some 30 characters of a column are cut.
        "args": repr(tuple(name for name in (job.model, job.agent) if name)),
        "kwargs": repr({name: value for name, value in about.items() if value is not None}),
        "retries": job.attempt - 1,
        "exchange": job.lane,
        "routing_key": job.lane,
    }


class JobCounts(EventDispatcher):  # type: ignore[misc]
    """Celery's heartbeats say how many messages a worker has in hand; these say how many jobs."""

    def send(self, type: str, **fields: Any) -> None:
        """Sends an event of this type, as Celery does."""
        events: JobEvents | None = self.app.job_events
        if events and "active" in fields:
            fields |= {"active": events.active, "processed": events.begun}
        super().send(type, **fields)


class Events(celery_events.Events):  # type: ignore[misc]
    """Celery's, with heartbeats that count jobs."""

    dispatcher_cls = JobCounts
