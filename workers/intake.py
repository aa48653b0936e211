"""What a worker may take next: which lanes have room, and whose turn it is. Used on the consumer's thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from factory.domain.lanes import MESSAGE_JOBS, Priority, all_lanes, group_of, priority_of
from factory.domain.slots import lendable, reserve, total
from factory.domain.turns import Turns

URGENCY = {lane: list(Priority).index(priority_of(lane)) / 1e6 for lane in all_lanes()}
"""Breaks ties between lanes: far less than any lane can be ahead."""
FEW = 8
"""Messages that are taken at once at most if the last of their lane was small, as the next may be large."""
FIRST = -1.0
"""The turn of a queue that is no lane: first of all."""


class Intake:
    """`slots` that the groups share, and a reserve for each group on top.

    A message is taken whole. If it has more jobs than there is room for, its group takes no more until the excess has
    ended. Other groups are not affected: their reserves are their own. Waiting until all of its jobs fit would be
    waiting for ever beside lanes whose messages hold one job.
    """

    def __init__(self, slots: int, lanes: Iterable[str]) -> None:
        self._slots = slots
        self._reserve = reserve(slots)
        self._most = lendable(slots) + reserve(slots)
        self._used = dict.fromkeys(map(group_of, lanes), 0)
        self._lent = 0
        """Shared slots in use."""
        self._turns = Turns()
        self._left_out: set[str] = set()
        self._latest: dict[str, int] = {}
        """The jobs of each lane's last message."""

    @property
    def total(self) -> int:
        """Jobs in flight when every group is full."""
        return total(self._slots, len(self._used))

    def order(self, queues: Sequence[str]) -> list[str]:
        """The queues to ask now, in the order of their turns; those of full groups are left out.

        The sort is stable: lanes with equal turns keep the given order within a priority. Queues that are no lanes,
        such as replies to `inspect`, come first.
        """
        full = {group for group, used in self._used.items() if self._free(used) <= 0}
        self._left_out = (
            {q for q in queues if q in URGENCY and group_of(q) in full} if full else set()
        )
        return self._in_turn([q for q in queues if q not in self._left_out])

    @property
    def waiting(self) -> bool:
        """Whether lanes were left out that may have work."""
        return bool(self._left_out)

    def reopened(self) -> list[str]:
        """The lanes that were left out and have room by now, the next to be asked first."""
        if not self._left_out:
            return []
        return self._in_turn([q for q in self._left_out if self._free(self._used[group_of(q)]) > 0])

    def room(self, queue: str) -> int:
        """How many messages of a lane can start now; none of a queue that is not a lane. In `normal` lanes most carry
        one job: some may be taken for as small as the last one was.
        """
        if queue not in URGENCY:
            return 0
        free, most = (
            max(0, self._free(self._used[group_of(queue)])),
            MESSAGE_JOBS[priority_of(queue)],
        )
        if priority_of(queue) is not Priority.NORMAL:
            return free // most
        return max(free // most, min(FEW, free // self._latest.get(queue, most)))

    def started(self, queue: str, jobs: int) -> None:
        """A message of the queue has been taken."""
        self._change(group_of(queue), jobs)
        if queue in URGENCY:
            self._turns.served(queue, jobs)
            self._latest[queue] = jobs

    def ended(self, queue: str, jobs: int) -> None:
        """So many jobs of the queue's messages have ended."""
        self._change(group_of(queue), -jobs)

    def _change(self, group: str, jobs: int) -> None:
        before = self._used.get(group, 0)
        after = self._used[group] = before + jobs
        self._lent += max(0, after - self._reserve) - max(0, before - self._reserve)

    def _free(self, used: int) -> int:
        """How many jobs a group with so many may still start; below 0 if it has taken too many."""
        if used < self._reserve:
            return (
                self._reserve
                - used
                + max(0, min(self._slots - self._lent, self._most - self._reserve))
            )
        return min(self._slots - self._lent, self._most - used)

    def _in_turn(self, queues: list[str]) -> list[str]:
        debts = self._turns.debts()
        return sorted(queues, key=lambda one: debts.get(one) or URGENCY.get(one, FIRST))
