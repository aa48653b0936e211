"""How many hints each lane may have out: about the free slots of the workers that serve it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from factory.domain.lanes import MESSAGE_JOBS, Priority

AHEAD = 1.25
"""A quarter more than there are slots, so that a slot that frees finds its next job in Redis."""
LEAST_SHARE = 16
"""A lane gets at least one slot in so many, however busy the more urgent lanes are."""


def windows(
    lanes: Iterable[str], slots: Mapping[str, int], in_flight: Mapping[str, int]
) -> dict[str, int]:
    """Jobs to publish now, by lane, most urgent lane first; lanes without room are left out.

    A lane may fill what the more urgent lanes of its provider leave, and always a small share. One whose
    messages hold many jobs is filled up once there is room for a whole message, or once no slot would find
    its next job in Redis: a message costs as much with one job as with all.
    """
    room = {lane: _room(lane, slots.get(lane, 0), in_flight) for lane in lanes}
    ordered = sorted(room, key=lambda lane: (_urgency(lane), lane))
    return {lane: room[lane] for lane in ordered if room[lane] > 0}


def _room(lane: str, slots: int, in_flight: Mapping[str, int]) -> int:
    if slots == 0:
        return 0
    provider, _, priority = lane.partition(".")
    more_urgent = [f"{provider}.{p}" for p in Priority if _rank(p) < _rank(priority)]
    taken = sum(in_flight.get(other, 0) for other in more_urgent)
    share = max(slots - taken, slots // LEAST_SHARE, 1)
    window = int(share * AHEAD) + 1
    room = window - in_flight.get(lane, 0)
    return room if room >= min(MESSAGE_JOBS[Priority(priority)], window - share) else 0


def _urgency(lane: str) -> int:
    return _rank(lane.rpartition(".")[2])


def _rank(priority: str) -> int:
    return list(Priority).index(Priority(priority))
