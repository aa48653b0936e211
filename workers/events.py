"""What Flower hears of jobs: Celery's own events tell of messages, and a message may carry many.

A message of one job has the job's id, so Celery's events are about that job, but they would call a job
that failed a success. A message of many hides its jobs altogether. So jobs have events of their own,
with their public id, wherever Celery's do not tell the truth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from celery.exceptions import Ignore
from celery.worker.consumer import Consumer

from factory.domain.job import ClaimedJob, public_id
from factory.domain.state import State
from workers.pool import on_consumer_thread

NAME = "job"
ENDS = {
    State.SUCCEEDED: "task-succeeded",
    State.FAILED: "task-failed",
    State.CANCELLED: "task-revoked",
    State.QUEUED: "task-retried",
    State.WAITING: "task-retried",
}
"""The event of each state that an attempt can end in."""

Tell = Callable[[str, Mapping[str, Any]], None]


class JobEvents:
    """The worker's way to Flower; of no effect while events are off."""

    def __init__(self) -> None:
        self._consumer: Consumer | None = None

    def attach(self, sender: Consumer, **_signal: object) -> None:
        """Receiver of `worker_ready`. The consumer lives on when its connection does not."""
        self._consumer = sender

    def of_message(self, jobs: int) -> MessageEvents:
        """The events of one message that carries so many jobs."""
        return MessageEvents(self._tell if self._enabled() else None, jobs)

    def _enabled(self) -> bool:
        dispatcher = self._consumer and self._consumer.event_dispatcher
        return bool(dispatcher and dispatcher.enabled)

    def _tell(self, event: str, fields: Mapping[str, Any]) -> None:
        """On the loop: has the consumer's thread send it, which alone may use its connection."""
        on_consumer_thread(self._send, event, {**fields, "timestamp": time.time()})

    def _send(self, event: str, fields: Mapping[str, Any]) -> None:
        if self._consumer is not None:
            self._consumer.event_dispatcher.send(event, **fields)


class MessageEvents:
    """Watches the jobs of one message; belongs to the loop. `tell` None: nobody listens."""

    def __init__(self, tell: Tell | None, jobs: int) -> None:
        self._tell = tell
        self._alone = jobs == 1
        self._started_s: dict[UUID, float] = {}
        self._belied = False

    def started(self, job: ClaimedJob) -> None:
        """The job was claimed here."""
        self._started_s[job.id] = time.monotonic()
        if self._tell and not self._alone:
            about = {"lane": job.lane, "model": job.model, "attempt": job.attempt}
            received = {"name": NAME, "args": "()", "kwargs": repr(about), "retries": 0}
            self._tell("task-received", {"uuid": public_id(job.id), **received})
            self._tell("task-started", {"uuid": public_id(job.id)})

    def ended(self, job_id: UUID, state: State | None) -> None:
        """The worker is done with the job; of one that was not its own there is nothing to tell."""
        started_s = self._started_s.pop(job_id, None)
        if not self._tell or started_s is None or state is None:
            return
        if self._alone and state is State.SUCCEEDED:
            return  # Celery says so itself
        self._belied = self._alone
        self._tell(ENDS[state], {"uuid": public_id(job_id), **_end_fields(state, started_s)})

    def settle(self) -> None:
        """Once all have ended. Raises Ignore to keep Celery from calling the message a success."""
        if self._belied:
            raise Ignore


def _end_fields(state: State, started_s: float) -> dict[str, Any]:
    if state is State.SUCCEEDED:
        return {"result": state.value, "runtime": time.monotonic() - started_s}
    if state is State.CANCELLED:
        return {"terminated": True, "signum": None, "expired": False}
    return {"exception": f"{state.value}: see GET /api/jobs/{{id}}", "traceback": ""}
