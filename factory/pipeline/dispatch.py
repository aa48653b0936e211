"""Publishing hints: due jobs, fairly, as many as the workers can take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from factory.domain.lanes import MESSAGE_JOBS, Priority
from factory.domain.quarantine import groups
from factory.limits.window import windows
from factory.services import Services
from factory.store import hints, suspects
from factory.store.database import Tx
from factory.store.hints import InFlight

SUSPECTS_WINDOW = 1024
"""Jobs in quarantine that a lane has out at once: two of the largest groups."""


@dataclass(frozen=True, slots=True)
class Message:
    """What travels on a lane: ids of jobs to run, or of suspects that are to run in `quarantine`."""

    job_ids: Sequence[UUID]
    quarantine: bool = False


Send = Callable[[str, Sequence[Message]], None]
"""Puts messages on a lane. Raises Unavailable when the broker does not answer."""


def dispatch(services: Services, send: Send) -> int:
    """One round over all lanes, the most urgent first; gives how many jobs were published.

    The marks are committed before the messages go out: a claim must not wait for a dispatcher that
    waits for Redis. A crash in between loses hints, and the reaper of hints finds those. Raises
    Unavailable; what could not be sent is unmarked.
    """
    with services.database.autocommit() as tx:
        look = hints.look(tx, services.settings.lease_s)
    out = look.in_flight
    jobs = windows(look.due, look.slots, {lane: one.jobs for lane, one in out.items()})
    in_quarantine = {
        lane: SUSPECTS_WINDOW - out.get(lane, InFlight()).suspects
        for lane in look.with_suspects
        if look.slots.get(lane)
    }
    return sum(
        _publish(services, send, pick, lane, room)
        for pick, rooms in ((_pick_jobs, jobs), (_pick_suspects, in_quarantine))
        for lane, room in rooms.items()
        if room > 0
    )


Pick = Callable[[Tx, str, int], list[Message]]
"""Marks at most so many jobs of a lane as published."""


def _publish(services: Services, send: Send, pick: Pick, lane: str, room: int) -> int:
    with services.database.autocommit() as tx:
        messages = pick(tx, lane, room)
    job_ids = [job_id for message in messages for job_id in message.job_ids]
    if not messages:
        return 0
    try:
        send(lane, messages)
    except BaseException:
        with services.database.autocommit() as tx:
            hints.unpublish(tx, job_ids)
        raise
    return len(job_ids)


def _pick_jobs(tx: Tx, lane: str, room: int) -> list[Message]:
    size = MESSAGE_JOBS[Priority(lane.rpartition(".")[2])]
    job_ids = hints.publish(tx, lane, room)
    return [Message(job_ids[at : at + size]) for at in range(0, len(job_ids), size)]


def _pick_suspects(tx: Tx, lane: str, room: int) -> list[Message]:
    found = groups(suspects.publish(tx, lane, room))
    return [Message(group, quarantine=True) for group in found]
