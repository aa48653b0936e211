"""What several threads ask of Postgres at the same moment shares one statement and one commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from factory.errors import Unavailable
from factory.store.database import Database, Tx

MOST_ITEMS = 100
"""Items in one statement; where one is refused, all are tried once more, each by itself."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Entry:
    item: Any
    result: Any = None
    error: Exception | None = None
    done: bool = False
    told: threading.Lock = field(default_factory=threading.Lock)
    """Held until the result is there, or until it is this entry's turn to ask."""

    def __post_init__(self) -> None:
        self.told.acquire()


class Group(Generic[Item, Result]):
    """A set-based statement, which commits by itself, for threads that each bring one item and wait for its result.

    It has no thread and no timer. A thread that finds nobody asking asks at once: an idle process
    answers as fast as with a transaction for each. Whoever comes meanwhile waits, and the first of
    them then asks for all: a busy one shares the way to Postgres and the fsync among all threads
    that wait. So no more can be pending than there are threads.
    """

    def __init__(self, statement: Callable[[Tx, list[Item]], Sequence[Result]]) -> None:
        """`statement` gives one result an item, in order."""
        self._statement = statement
        self._lock = threading.Lock()
        self._waiting: list[_Entry] = []
        self._busy = False

    def ask(self, database: Database, item: Item) -> Result:
        """The item's result, once it is committed. Raises Unavailable, or why Postgres refused it."""
        entry = _Entry(item)
        with self._lock:
            self._waiting.append(entry)
            asks, self._busy = not self._busy, True
        if not asks:
            entry.told.acquire()
        if not entry.done:
            self._ask_for_all(database)
        if entry.error:
            raise _own(entry.error)
        result: Result = entry.result
        return result

    def _ask_for_all(self, database: Database) -> None:
        """Asks for what waits, this thread's own entry first among it, and passes the turn on."""
        with self._lock:
            batch, self._waiting = self._waiting[:MOST_ITEMS], self._waiting[MOST_ITEMS:]
        try:
            self._transact(database, batch)
        finally:
            self._pass_on()
            for entry in batch[1:]:
                entry.told.release()

    def _pass_on(self) -> None:
        with self._lock:
            self._busy = bool(self._waiting)
            if self._waiting:
                self._waiting[0].told.release()

    def _transact(self, database: Database, batch: Sequence[_Entry]) -> None:
        """One statement for all; where Postgres refuses what one of them holds, one for each."""
        try:
            with database.autocommit() as tx:
                results = self._statement(tx, [entry.item for entry in batch])
        except Exception as error:  # noqa: BLE001 — whatever it is, each thread must learn its own
            if len(batch) > 1 and not isinstance(error, Unavailable):
                for entry in batch:
                    self._transact(database, [entry])
                return
            for entry in batch:
                entry.error, entry.done = error, True
        else:
            for entry, result in zip(batch, results, strict=True):
                entry.result, entry.done = result, True


def _own(error: Exception) -> Exception:
    """An error of its own for each thread, as raising one adds to its traceback."""
    if isinstance(error, Unavailable):
        own = Unavailable(error.message, retry_after_s=error.retry_after_s)
        own.__cause__ = error.__cause__
        return own
    return error
