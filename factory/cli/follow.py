"""Following jobs through the gateway until they end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from factory.cli.exits import Interrupted, TimedOut
from factory.cli.gateway import Gateway
from factory.domain.state import State

HELD_S = 30
"""How long one request may wait for a job's end."""
LOOK_S = 0.3

Job = dict[str, Any]


def has_ended(job: Job) -> bool:
    """Whether the job is in a terminal state."""
    return State(job["state"]).terminal


def wait_for_end(gateway: Gateway, job: Job, timeout_s: float) -> Job:
    """The ended job. Raises TimedOut that names the job, which goes on."""
    deadline = time.monotonic() + timeout_s
    while not has_ended(job):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise _timed_out(job, timeout_s)
        try:
            job = gateway.get(f"/api/jobs/{job['id']}", wait_s=max(1, min(HELD_S, int(left_s))))
        except KeyboardInterrupt:
            raise Interrupted(
                f"{job['id']} goes on: `factory watch {job['id']}` follows it, "
                f"`factory jobs cancel {job['id']}` ends it"
            ) from None
    return job


def changes(gateway: Gateway, job_id: str, timeout_s: float) -> Iterator[Job]:
    """The job now and after each change that somebody can see, the last one ended. Raises TimedOut."""
    deadline = time.monotonic() + timeout_s
    seen = None
    while True:
        job: Job = gateway.get(f"/api/jobs/{job_id}")
        if _visible(job) != seen:
            seen = _visible(job)
            yield job
        if has_ended(job):
            return
        if time.monotonic() > deadline:
            raise _timed_out(job, timeout_s)
        time.sleep(LOOK_S)


def _visible(job: Job) -> tuple[Any, ...]:
    return tuple(job[name] for name in ("state", "attempt", "deferrals", "position", "run_at"))


def _timed_out(job: Job, timeout_s: float) -> TimedOut:
    return TimedOut(
        f"{job['id']} is {job['state']} after {timeout_s:g} s and goes on: `factory watch {job['id']}`"
    )
