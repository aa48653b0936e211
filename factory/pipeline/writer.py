"""Group commit: what many coroutines want written shares one transaction and one fsync."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from factory.errors import Unavailable
from factory.store.database import Database, Tx

MOST_ITEMS = 1000
PATIENCE_S = 0.05
"""How long a transaction waits for the one before it."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0

Item = TypeVar("Item")
Result = TypeVar("Result")
Statement = Callable[[Tx, list[Item]], Sequence[Result]]
"""Writes a set of items; gives one result an item, in order."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    statement: Statement[Any, Any]
    item: Any
    answer: asyncio.Future[Any]


class Writer:
    """Threads that commit what coroutines of one loop hand them.

    There is no timer: while a thread waits for its commit, what arrives meanwhile becomes the next
    batch, so an idle system commits at once and a busy one commits hundreds together. What was
    handed over is kept and tried again for as long as Postgres is away, so every statement must
    bear being run again after a commit whose outcome is unknown.

    One transaction at a time: two at once are half as large each, and cost nearly as much. Where one takes
    long, such as a search among a million vectors, the next does not wait for it for ever.
    """

    def __init__(
        self, database: Database, loop: asyncio.AbstractEventLoop, threads: int = 2
    ) -> None:
        self._database = database
        self._loop = loop
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"writer-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def write(self, statement: Statement[Item, Result], item: Item) -> asyncio.Future[Result]:
        """The item's result, once it is committed. Called on the loop."""
        answer: asyncio.Future[Result] = self._loop.create_future()
        self._entries.put(_Entry(statement, item, answer))
        return answer

    async def commit(self, statement: Statement[Item, Result], item: Item) -> Result:
        """The item's result, once it is committed; a cancellation of the caller is raised only then.

        The threads commit independently. What a cancelled coroutine writes next could overtake what
        it had under way, such as the end of a job the answer that was paid for.
        """
        answer = self.write(statement, item)
        cancelled: asyncio.CancelledError | None = None
        while not answer.done():
            try:
                await asyncio.wait([answer])
            except asyncio.CancelledError as error:
                cancelled = error
        result = answer.result()
        if cancelled is not None:
            raise cancelled
        return result

    def stop(self, timeout_s: float = 10.0) -> None:
        """Writes what is left, as long as Postgres answers, and ends the threads."""
        for _ in self._threads:
            self._entries.put(None)
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._stopping.set()

    def _run(self) -> None:
        while (first := self._entries.get()) is not None:
            in_turn = self._turn.acquire(timeout=PATIENCE_S)
            try:
                batch, ends = self._gather(first)
                self._commit(batch)
            finally:
                if in_turn:
                    self._turn.release()
            if ends:
                return

    def _gather(self, first: _Entry) -> tuple[list[_Entry], bool]:
        batch = [first]
        while len(batch) < MOST_ITEMS:
            try:
                entry = self._entries.get_nowait()
            except queue.Empty:
                break
            if entry is None:
                return batch, True
            batch.append(entry)
        return batch, False

    def _commit(self, batch: list[_Entry]) -> None:
        """One transaction for all; where the data of one is refused, one for each."""
        try:
            results = self._persist(batch)
        except Exception as error:  # noqa: BLE001 — whatever it is, its own coroutine must learn it
            if len(batch) == 1:
                self._tell([(batch[0].answer, error)])
            else:
                for entry in batch:
                    self._commit([entry])
        else:
            self._tell(results)

    def _persist(self, batch: list[_Entry]) -> list[tuple[asyncio.Future[Any], Any]]:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                with self._database.transaction() as tx:
                    return _run_statements(tx, batch)
            except Unavailable as error:
                if self._stopping.is_set():
                    raise
                log.warning("%d writes wait for Postgres: %s", len(batch), error)
                self._stopping.wait(pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    def _tell(self, results: list[tuple[asyncio.Future[Any], Any]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, results)
        except RuntimeError:
            log.warning("%d writes were committed after the loop had closed", len(results))


def _run_statements(tx: Tx, batch: list[_Entry]) -> list[tuple[asyncio.Future[Any], Any]]:
    """Each kind of statement once, in the order in which the first of its items came."""
    kinds: dict[Statement[Any, Any], list[_Entry]] = {}
    for entry in batch:
        kinds.setdefault(entry.statement, []).append(entry)
    results: list[tuple[asyncio.Future[Any], Any]] = []
    for statement, entries in kinds.items():
        answers = statement(tx, [entry.item for entry in entries])
        results += zip((entry.answer for entry in entries), answers, strict=True)
    return results


def _resolve(results: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in results:
        if future.done():
            continue  # its coroutine was cancelled meanwhile
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
