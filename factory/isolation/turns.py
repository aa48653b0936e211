"""Decides who works next: owners take turns, and no owner takes all places."""

from __future__ import annotations

import asyncio
from collections import Counter, deque


class Turns:
    """Gives `places` to owners in turn. One owner holds at most all but one of them. So an owner with slow work leaves
    a place to the others, and however much of its work waits, others wait for one piece of it. Belongs to one event
    loop.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._share = max(1, places - 1)
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """The waiting callers by owner; the first owner has waited longest for a turn."""

    async def take(self, owner: str) -> None:
        """Returns when the caller has a place. A caller that is cancelled before has none."""
        if self._may(owner) and owner not in self._waiting:
            self._hold(owner)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(owner)
            else:
                self._forget(owner, turn)
            raise

    def give_back(self, owner: str) -> None:
        """Frees a place, and passes it on."""
        self._free += 1
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        while following := next((one for one in self._waiting if self._may(one)), None):
            self._pass_to(following)

    def _may(self, owner: str) -> bool:
        return self._free > 0 and self._held[owner] < self._share

    def _hold(self, owner: str) -> None:
        self._free -= 1
        self._held[owner] += 1

    def _pass_to(self, owner: str) -> None:
        """The owner's first caller gets a place; its others wait behind all other owners."""
        turns = self._waiting.pop(owner)
        turn = turns.popleft()
        if turns:
            self._waiting[owner] = turns
        if not turn.done():
            self._hold(owner)
            turn.set_result(None)

    def _forget(self, owner: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(owner)
        if turns and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[owner]
