"""A job's values on its journey: what is submitted, what is claimed, how an attempt ends."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from factory.document import storable_text
from factory.domain.instant import EARLIEST, LATEST
from factory.domain.job_fields import OptionalFields
from factory.domain.lanes import Priority, lane_name
from factory.domain.state import State
from factory.domain.waiting import WaitFor
from factory.errors import FactoryError, NotFound, UnusableOutput

DEFAULT_MAX_ATTEMPTS = 5
MOST_ATTEMPTS = 50
PREFIX = "job_"
CLOCKS_DIFFER = timedelta(days=1)
"""By at most so much, between the machines of an installation."""
MOST_SHOWN = 10_000
"""Characters of an unusable answer that an error shows."""


class Kind(StrEnum):
    """What a worker does with a job."""

    COMPLETION = "completion"
    EMBEDDING = "embedding"
    SEARCH = "search"
    WEBHOOK = "webhook"


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): sorts by time of creation, so new rows land at an index's end."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    return UUID(int=value & ~(0x3 << 62) | (0x2 << 62))


def first_id(when: datetime) -> UUID:
    """No id that was made at `when` or later sorts before this one."""
    return UUID(int=int(when.timestamp() * 1000) << 80)


def made_at(job_id: UUID) -> datetime:
    """The earliest time at which an id of `new_id` can have been made, by any clock; the first of all for other ids."""
    seconds = (job_id.int >> 80) / 1000
    if job_id.version != 7 or seconds > LATEST.timestamp():
        return EARLIEST
    return max(EARLIEST, datetime.fromtimestamp(seconds, UTC) - CLOCKS_DIFFER)


def public_id(job_id: UUID) -> str:
    """`job_` and 32 hexadecimal digits."""
    return PREFIX + job_id.hex


def parse_id(text: str) -> UUID:
    """The id behind `job_…`; raises NotFound for anything else, as for an id that nobody has."""
    digits = text.removeprefix(PREFIX)
    try:
        if len(digits) == 32 and text.startswith(PREFIX):
            return UUID(hex=digits)
    except ValueError:
        pass
    raise NotFound(f"there is no job {text!r}", param="id")


@dataclass(frozen=True, slots=True)
class NewJob(OptionalFields):
    """A job that is fully checked and not yet written. Times are relative to Postgres' clock."""

    id: UUID
    project_id: UUID
    kind: Kind
    provider: str
    priority: Priority
    input: Mapping[str, Any]
    model: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    fallbacks: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    run_at: datetime | None = None
    """None: at once."""
    deadline_s: float | None = None
    max_cost_micros: int | None = None
    webhook_url: str | None = None
    lane_group: str | None = None
    """Whose lanes carry it, if not its provider's."""

    @property
    def lane(self) -> str:
        """The queue that serves the job."""
        return lane_name(self.lane_group or self.provider, self.priority)


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this worker holds: only `lease_token` may finish it."""

    id: UUID
    project_id: UUID
    kind: Kind
    lane: str
    provider: str
    model: str | None
    attempt: int
    max_attempts: int
    deferrals: int
    lease_token: int
    seconds_left: float | None
    """Until the job's deadline; None without one."""
    max_cost_micros: int | None
    spent_micros: int
    """What earlier attempts cost, as far as it is known."""
    input: Mapping[str, Any]
    params: Mapping[str, Any]
    fallbacks: tuple[str, ...]
    webhook_url: str | None
    traceparent: str | None
    steps: Mapping[str, Any]
    """Outputs of the steps that earlier attempts finished, by step key."""
    unknown_models: tuple[str, ...] = ()
    """`<provider>/<name>` for each call of earlier attempts whose cost nobody knows."""
    first_call: UUID | None = None
    """The journal's row of the call that the attempt begins with, where it was written with the claim."""
    agent: str | None = None
    parent_id: UUID | None = None
    deferred_s: float | None = None
    """Since when the job has done nothing but wait, in seconds ago; None where its last attempt was a real one."""


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed, as its owner reads it."""

    type: str
    message: str
    retryable: bool
    code: str | None = None
    answer: Mapping[str, str | None] = field(default_factory=dict)
    """Of an answer that was paid for and cannot be used: `finish_reason`, `refusal`, `text`."""

    @classmethod
    def of(cls, error: FactoryError) -> JobError:
        """The owner's view of an error. Others' words are in it, so some may not be storable."""
        code = None if error.code is None else storable_text(error.code)
        message = storable_text(error.message[:2000])
        return cls(error.type, message, error.retryable, code, _paid_answer(error))

    def as_dict(self) -> dict[str, Any]:
        """As the API shows it: `Failure` in docs/reference/api.md."""
        return {
            "type": self.type,
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
            **self.answer,
        }


def _paid_answer(error: FactoryError) -> Mapping[str, str | None]:
    if not isinstance(error, UnusableOutput) or error.completion is None:
        return {}
    told = error.completion
    return {
        "finish_reason": told.finish_reason,
        "refusal": told.refusal and told.refusal[:MOST_SHOWN],
        "text": told.text[:MOST_SHOWN],
    }


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. QUEUED means once more, `delay_s` from now; WAITING once `waiting_for` has come.

    `lease_token` None ends a job that nobody holds: a queued one that is cancelled or overdue.
    """

    job_id: UUID
    lease_token: int | None
    state: State
    output: Any = None
    error: JobError | None = None
    delay_s: float = 0.0
    spends_attempt: bool = True
    """False for a rate wait or a drain: the attempt is given back and only `deferrals` rises."""
    worker_died: bool = False
    """The attempt ended because its worker did; `deaths` rises."""
    waiting_for: WaitFor | None = None
    parent_id: UUID | None = None
    """The job's parent, where the worker knows it: it may wait for this end."""
