"""Writes that share a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from factory.store.database import Tx

ONE = 4096
"""Bytes that a write counts for on top of its size: what even the smallest costs."""

PARTS = 8
"""How many parts a batch is split into if it cannot be written as a whole. More than two: a bad write among a
thousand is found in fewer steps.
"""

Item = TypeVar("Item")
Result = TypeVar("Result")
Statement = Callable[[Tx, list[Item]], Sequence[Result]]
"""Writes a set of items; gives one result an item, in order."""


@dataclass(slots=True, eq=False)
class Write(Generic[Result]):
    """An item that waits to be written."""

    statement: Statement[Any, Result]
    item: Any
    answer: asyncio.Future[Result]
    """Its result, once it is committed. Read and changed on the loop alone."""
    weight: int
    taken: bool = False
    unwanted: bool = False

    async def result(self) -> Result:
        """Its result, once it is committed. Whoever is cancelled meanwhile may ask again: the write stays as it is."""
        try:
            return await self.answer
        except asyncio.CancelledError:
            if self.answer.cancelled():
                self.answer = self.answer.get_loop().create_future()
            raise

    def withdraw(self) -> bool:
        """On the loop: True if it will not be written. Else `result` tells: None if it was withdrawn in time after all."""
        # The thread sets `taken` before it reads `unwanted`: one of the two always sees the other's mark.
        self.unwanted = True
        return not self.taken

    def take(self) -> bool:
        """On the thread that writes: False if it was withdrawn."""
        self.taken = True
        return not self.unwanted


@dataclass(frozen=True, slots=True)
class Aside:
    """Writes that took too long, and the time that they have next."""

    writes: list[Write[Any]]
    answer_s: float


def parts(batch: list[Write[Any]]) -> list[list[Write[Any]]]:
    """At most `PARTS`, in their order."""
    length = -(-len(batch) // PARTS)
    return [batch[start : start + length] for start in range(0, len(batch), length)]


def run_statements(tx: Tx, batch: list[Write[Any]]) -> list[tuple[Write[Any], Any]]:
    """Each kind of statement once, in the order in which the first of its items came."""
    kinds: dict[Statement[Any, Any], list[Write[Any]]] = {}
    for write in batch:
        kinds.setdefault(write.statement, []).append(write)
    results: list[tuple[Write[Any], Any]] = []
    for statement, writes in kinds.items():
        answers = statement(tx, [write.item for write in writes])
        results += zip(writes, answers, strict=True)
    return results
