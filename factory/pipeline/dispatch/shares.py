"""How a group's free slots are shared among its lanes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from factory.domain.lanes import WEIGHTS, group_of, priority_of
from factory.limits.window import Window


class Shares:
    """Shares of a group's free places, by weight among its lanes that have work."""

    def __init__(self, found: Sequence[Window]) -> None:
        self._lanes = Counter(group_of(one.lane) for one in found)
        self._weights = Counter[str]()
        for one in found:
            self._weights[group_of(one.lane)] += WEIGHTS[priority_of(one.lane)]
        self._taken = Counter[str]()

    def take(self, one: Window, jobs: int) -> None:
        """So many of the lane's jobs were published."""
        self._taken[group_of(one.lane)] += jobs

    def first(self, one: Window) -> int:
        """The lane's share while others have not had theirs: at least one job, if any place is free."""
        group = group_of(one.lane)
        if self._lanes[group] == 1 and one.free < one.least_batch:
            return 0
        share = math.ceil(one.free * WEIGHTS[priority_of(one.lane)] / self._weights[group])
        return min(share, self.rest(one))

    def rest(self, one: Window) -> int:
        """What is left of the group's places."""
        return max(0, one.free - self._taken[group_of(one.lane)])
