"""Publishing hints: due jobs, fairly, as many as the workers can take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from factory.domain.lanes import MESSAGE_JOBS, Priority
from factory.limits.window import windows
from factory.services import Services
from factory.store import hints

Send = Callable[[str, Sequence[Sequence[UUID]]], None]
"""Puts messages on a lane, each a list of job ids. Raises Unavailable when the broker does not answer."""


def dispatch(services: Services, send: Send) -> int:
    """One round over all lanes, the most urgent first; gives how many jobs were published.

    The marks are committed before the messages go out: a claim must not wait for a dispatcher that
    waits for Redis. A crash in between loses hints, and the reaper of hints finds those. Raises
    Unavailable; what could not be sent is unmarked.
    """
    with services.database.transaction() as tx:
        lanes = hints.due_lanes(tx)
        if not lanes:
            return 0
        room = windows(lanes, hints.slots(tx, services.settings.lease_s), hints.in_flight(tx))
    return sum(_publish(services, send, lane, window) for lane, window in room.items())


def _publish(services: Services, send: Send, lane: str, window: int) -> int:
    with services.database.transaction() as tx:
        job_ids = hints.publish(tx, lane, window)
    if not job_ids:
        return 0
    try:
        send(lane, _messages(lane, job_ids))
    except BaseException:
        with services.database.transaction() as tx:
            hints.unpublish(tx, job_ids)
        raise
    return len(job_ids)


def _messages(lane: str, job_ids: Sequence[UUID]) -> list[Sequence[UUID]]:
    size = MESSAGE_JOBS[Priority(lane.rpartition(".")[2])]
    return [job_ids[start : start + size] for start in range(0, len(job_ids), size)]
