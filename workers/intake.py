"""What a worker may take next: which lanes have room, and whose turn it is. Belongs to the consumer's thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from factory.domain.lanes import MESSAGE_JOBS, Priority, all_lanes, group_of, priority_of
from factory.domain.slots import lendable, reserve, total
from factory.domain.turns import Turns

LANES = frozenset(all_lanes())
URGENCY = {lane: list(Priority).index(priority_of(lane)) for lane in LANES}


class Intake:
    """`slots` that the groups share, and the reserve of each group on top.

    A message is taken whole. One of more jobs than there is room for makes its group wait until the excess
    has ended; it costs no other group, whose reserve nobody else gets. To wait for room for all of it would
    mean to wait for ever beside lanes whose messages hold one job.
    """

    def __init__(self, slots: int, lanes: Iterable[str]) -> None:
        self._slots = slots
        self._reserve = reserve(slots)
        self._lendable = lendable(slots)
        self._used = dict.fromkeys(map(group_of, lanes), 0)
        self._turns = Turns()
        self._left_out: set[str] = set()

    @property
    def total(self) -> int:
        """Jobs in flight when every group is full."""
        return total(self._slots, len(self._used))

    def order(self, queues: Sequence[str]) -> list[str]:
        """The queues to ask now, first the one whose turn it is; those of full groups are left out.

        The sort is stable: lanes whose turn has come alike keep the given order within a priority. Queues
        that are no lanes, such as replies to `inspect`, go first.
        """
        lent = self._lent()
        full = {group for group, used in self._used.items() if not self._free(used, lent)}
        self._left_out = (
            {q for q in queues if q in LANES and group_of(q) in full} if full else set()
        )
        return sorted((q for q in queues if q not in self._left_out), key=self._turn)

    @property
    def waiting(self) -> bool:
        """Whether lanes were left out that may have work."""
        return bool(self._left_out)

    def reopened(self) -> list[str]:
        """The lanes that were left out and have room by now, the next to be asked first."""
        if not self._left_out:
            return []
        return sorted((q for q in self._left_out if self._free_of(q)), key=self._turn)

    def room(self, queue: str) -> int:
        """How many messages of a lane can start now; none of a queue that is not a lane."""
        if queue not in LANES:
            return 0
        return self._free_of(queue) // MESSAGE_JOBS[priority_of(queue)]

    def started(self, queue: str, jobs: int) -> None:
        """A message of the queue has been taken."""
        group = group_of(queue)
        self._used[group] = self._used.get(group, 0) + jobs
        if queue in LANES:
            self._turns.served(queue, jobs)

    def ended(self, queue: str, jobs: int) -> None:
        """So many jobs of the queue's messages have ended."""
        self._used[group_of(queue)] -= jobs

    def _free_of(self, lane: str) -> int:
        return self._free(self._used[group_of(lane)], self._lent())

    def _lent(self) -> int:
        return sum(max(0, used - self._reserve) for used in self._used.values())

    def _free(self, used: int, lent: int) -> int:
        borrowed = max(0, used - self._reserve)
        shared = max(0, min(self._slots - lent, self._lendable - borrowed))
        return shared + max(0, self._reserve - used)

    def _turn(self, queue: str) -> tuple[float, int]:
        return (self._turns.ahead(queue), URGENCY[queue]) if queue in LANES else (-1.0, 0)
