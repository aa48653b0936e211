"""One statement and one commit for what several threads ask of Postgres at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Generic, TypeVar

from factory.domain.principal import Principal, together
from factory.errors import Unavailable
from factory.store.database import Database, Tx

MOST_ITEMS = 100
"""Items in one statement, unless its batch says less."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Entry:
    who: Principal
    item: Any
    result: Any = None
    error: Exception | None = None
    done: bool = False
    next: _Entry | None = None
    """Whose thread this one's thread wakes. All woken at once would contend for the interpreter."""
    ready: threading.Lock = field(default_factory=threading.Lock)
    """Held until the result is there, or until this entry's thread is the one to run the statement."""

    def __post_init__(self) -> None:
        self.ready.acquire()


class StatementBatch(Generic[Item, Result]):
    """A set-based statement, which commits by itself, for threads that each bring one item and wait for its result.

    It has no thread and no timer. A thread that finds the statement idle runs it at once, so a quiet process
    answers as fast as with a transaction for each item. Threads that come while it runs wait; then the first of
    them runs it for all, so a busy process shares the round trip and the fsync. No more items can wait than there
    are threads.
    """

    def __init__(
        self, statement: Callable[[Tx, list[Item]], Sequence[Result]], most: int = MOST_ITEMS
    ) -> None:
        """`statement` gives one result an item, in order; it gets `most` items at most."""
        self._statement = statement
        self._most = most
        self._lock = threading.Lock()
        self._waiting: list[_Entry] = []
        self._busy = False

    def run(self, database: Database, who: Principal, item: Item) -> Result:
        """The item's result, once it is committed. `who` asks for it.

        Raises Unavailable, or why Postgres refused it.
        """
        entry = _Entry(who, item)
        with self._lock:
            self._waiting.append(entry)
            is_first, self._busy = not self._busy, True
        if not is_first:
            entry.ready.acquire()
            if entry.next:
                entry.next.ready.release()
        if not entry.done:
            self._run_for_all(database)
        if entry.error:
            raise _own(entry.error)
        result: Result = entry.result
        return result

    def _run_for_all(self, database: Database) -> None:
        """Runs the statement for what waits, this thread's own entry first, and passes the turn on."""
        with self._lock:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            self._transact(database, batch)
        finally:
            for entry, following in pairwise(batch[1:]):
                entry.next = following
            self._pass_on()
            if len(batch) > 1:
                batch[1].ready.release()

    def _pass_on(self) -> None:
        with self._lock:
            self._busy = bool(self._waiting)
            if self._waiting:
                self._waiting[0].ready.release()

    def _transact(self, database: Database, batch: Sequence[_Entry]) -> None:
        """One statement for all, in the name of all; if Postgres refuses that, one for each, so that a bad item fails alone."""
        try:
            with database.autocommit(together([entry.who for entry in batch])) as tx:
                results = self._statement(tx, [entry.item for entry in batch])
        except Exception as error:  # noqa: BLE001 - each waiting thread must learn of any error
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
