"""Whose turn it is among lanes that want the same slots: start-time fair queueing.

Goyal, Vin, Cheng, "Start-time Fair Queuing" (SIGCOMM 1996). A lane that is served is ahead by what it got,
divided by its weight; the one that is least ahead goes next. One that was idle is never behind, so that it
goes at once and saves up nothing.
"""

from __future__ import annotations

from factory.domain.lanes import WEIGHTS, group_of, priority_of


class Turns:
    """Of the lanes of all groups; each group has its own time, so none forgives another's debts."""

    def __init__(self) -> None:
        self._now: dict[str, float] = {}
        """The group's time: the start of what was served last."""
        self._ends: dict[str, float] = {}
        """When the last job of each lane that was served ends, in its group's time."""

    def ahead(self, lane: str) -> float:
        """How far the lane is ahead of its group; 0 when its turn has come."""
        end = self._ends.get(lane)
        return max(0.0, end - self._now[group_of(lane)]) if end else 0.0

    def debts(self) -> dict[str, float]:
        """How far each lane is ahead that is."""
        now = self._now
        found = {lane: end - now[group_of(lane)] for lane, end in self._ends.items()}
        return {lane: ahead for lane, ahead in found.items() if ahead > 0}

    def served(self, lane: str, jobs: int) -> None:
        """The lane got so many jobs at once."""
        group = group_of(lane)
        start = self._now[group] = self._now.get(group, 0.0) + self.ahead(lane)
        self._ends[lane] = start + jobs / WEIGHTS[priority_of(lane)]
