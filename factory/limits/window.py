"""How many jobs of each lane may be out, that is published and not ended: about as many as its workers can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from factory.domain import slots
from factory.domain.lanes import MESSAGE_JOBS, Priority, group_of, lanes_of, priority_of

AHEAD = 1.25
"""A quarter more than workers can hold, so that a freed slot finds its next job in Redis."""
LEAST_SHARE = 16
"""A lane gets at least one of so many slots, however busy the more urgent lanes are."""
APART = 2
"""So many messages for each worker before those of `normal` lanes carry many jobs."""
MESSAGE_SHARE = 8
"""A message holds at most one job for so many slots of a worker: it is taken whole, and must not fill the worker."""

Sizes = Mapping[int, int]
"""Live workers by their number of slots."""


@dataclass(frozen=True, slots=True)
class Window:
    """What may be published on a lane now."""

    lane: str
    room: int
    """How many jobs may go out. Those beyond `free` must be of projects that hold few."""
    free: int
    """How many jobs of any project may go out. All lanes of a group share this number."""
    least_batch: int
    """While only this lane has work, fewer jobs than this need not go out: a round that publishes one job costs as much
    as one that publishes many, and the workers hold enough beyond their slots.
    """
    full: int
    """How many jobs all projects may then hold in the lane's group."""
    few: int
    """A project that holds at most so many jobs in the lane's group holds few."""
    message: int
    """The most jobs in a message."""
    apart: int
    """Fewer jobs than this go out in a message each, more in at least so many messages."""


def windows(
    lanes: Iterable[str], workers: Mapping[str, Sizes], in_flight: Mapping[str, int]
) -> list[Window]:
    """The windows of the lanes that workers serve, the most urgent first.

    A project may fill a group of lanes except for a tenth of what its workers can hold. That tenth is kept for
    projects that hold few jobs, so that these start at once, however many long jobs the others have.

    Beyond that, a lane may fill what the more urgent lanes of its provider leave, and always a small share.
    """
    found = [_window(lane, sizes, in_flight) for lane in lanes if (sizes := workers.get(lane))]
    return sorted(found, key=lambda one: (_urgency(one.lane), one.lane))


def _window(lane: str, sizes: Sizes, in_flight: Mapping[str, int]) -> Window:
    capacity = sum(count * slots.capacity(size) for size, count in sizes.items())
    full = capacity - slots.kept_free(capacity)
    held = sum(in_flight.get(other, 0) for other in lanes_of(group_of(lane)))
    whole = MESSAGE_JOBS[priority_of(lane)]
    configured = sum(count * size for size, count in sizes.items())
    return Window(
        lane,
        room=_room(lane, capacity, in_flight),
        free=max(0, full - held),
        least_batch=max(1, min(MESSAGE_JOBS[priority_of(lane)], full - configured)),
        full=full,
        few=slots.few(capacity),
        message=max(1, min(whole, min(sizes) // MESSAGE_SHARE)),
        apart=APART * sum(sizes.values()) if priority_of(lane) is Priority.NORMAL else 1,
    )


def _room(lane: str, capacity: int, in_flight: Mapping[str, int]) -> int:
    """How many jobs of the lane may go out. A lane is refilled once there is room for a good number of jobs, or once a
    slot would not find its next job in Redis.
    """
    taken = sum(
        in_flight.get(one, 0) for one in lanes_of(group_of(lane)) if _urgency(one) < _urgency(lane)
    )
    share = max(capacity - taken, capacity // LEAST_SHARE, 1)
    window = int(share * AHEAD) + 1
    room = window - in_flight.get(lane, 0)
    return room if room >= min(MESSAGE_JOBS[priority_of(lane)], window - share) else 0


def _urgency(lane: str) -> int:
    return list(Priority).index(priority_of(lane))
