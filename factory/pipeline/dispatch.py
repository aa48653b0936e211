"""Publishing hints: due jobs, fairly, as many as the workers can take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from factory.domain.lanes import MESSAGE_JOBS, Priority
from factory.limits.window import windows
from factory.services import Services
from factory.store import hints
from factory.store.hints import Hint


@dataclass(frozen=True, slots=True)
class Message:
    """What travels on a lane: ids of jobs to run, or of one job that is to run `alone`."""

    job_ids: Sequence[UUID]
    alone: bool = False


Send = Callable[[str, Sequence[Message]], None]
"""Puts messages on a lane. Raises Unavailable when the broker does not answer."""


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
        published = hints.publish(tx, lane, window)
    if not published:
        return 0
    try:
        send(lane, _messages(lane, published))
    except BaseException:
        with services.database.transaction() as tx:
            hints.unpublish(tx, [hint.job_id for hint in published])
        raise
    return len(published)


def _messages(lane: str, published: Sequence[Hint]) -> list[Message]:
    size = MESSAGE_JOBS[Priority(lane.rpartition(".")[2])]
    job_ids = [hint.job_id for hint in published if not hint.alone]
    together = [Message(job_ids[at : at + size]) for at in range(0, len(job_ids), size)]
    return together + [Message([hint.job_id], alone=True) for hint in published if hint.alone]
