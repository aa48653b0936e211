"""Group commit: the writes of many coroutines share one transaction and one fsync."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from factory.domain.principal import PLATFORM
from factory.errors import TooSlow, Unavailable
from factory.store.database import ANSWER_S, Database, limit_waits
from factory.store.group_writes import ONE, Aside, Statement, Write, parts, run_statements

MOST = 1000 * ONE
"""Bytes from which on a transaction takes no further write."""
PATIENCE_S = 0.05
"""How long a transaction waits for the one before it to end."""
PACE_S = 0.01
"""The shortest pause between two transactions. What comes meanwhile shares the next one: a transaction costs Postgres
and this process much, however few its writes are."""
QUICK_S = 5.0
"""Longest transaction. One that takes longer is put aside, and made in parts."""
LONGEST_S = 8 * ANSWER_S
"""Longest transaction of a single write that was put aside."""
LOCK_S = 1.0
"""Longest wait of a write that was put aside for a lock, which may be held for hours."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
EXIT_CODE = 70
"""EX_SOFTWARE: whoever started this process starts it again."""

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


def exit_process() -> None:
    """Ends the process at once."""
    os._exit(EXIT_CODE)


class GroupCommitter:
    """Threads that commit the writes of one loop's coroutines.

    Writes that arrive during a commit, or within `PACE_S` after it, become the next batch. So an idle system commits at
    once, and a busy one commits hundreds together. A write is kept and tried again for as long as
    Postgres is away, so every statement must be safe to run again after a commit whose outcome is unknown.

    One transaction runs at a time, as two at once are half as large each and cost nearly as much. The next waits
    only briefly for a slow one. A transaction that takes too long, because of its size or of one write whose row is
    locked, is put aside: other threads make it in parts, while new writes go on.

    A bug that ends one of these threads would leave coroutines waiting for ever, under leases that the heartbeat
    renews. Then `give_up` is called: without the process its jobs go to others.
    """

    def __init__(
        self,
        database: Database,
        loop: asyncio.AbstractEventLoop,
        threads: int = 2,
        give_up: Callable[[], None] = exit_process,
    ) -> None:
        self._database = database
        self._loop = loop
        self._give_up = give_up
        self._writes: queue.SimpleQueue[Write[Any] | None] = queue.SimpleQueue()
        self._aside: queue.SimpleQueue[Aside | None] = queue.SimpleQueue()
        self._most = MOST
        self._turn = threading.Lock()
        self._next_at = 0.0
        self._stopping = threading.Event()
        self._threads = [self._start(self._run, f"commit-{n}") for n in range(threads)]
        self._starting = threading.Lock()
        self._slow_threads: list[threading.Thread] = []

    def _start(self, run: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=self._watched, args=(run,), name=name, daemon=True)
        thread.start()
        return thread

    def _watched(self, run: Callable[[], None]) -> None:
        try:
            run()
        # Whatever it was, such as no room for another thread: nobody would go on with the writes.
        except Exception:
            log.critical("a thread that commits broke: the process ends", exc_info=True)
            self._give_up()

    def offer(self, statement: Statement[Item, Result], item: Item, size: int = 0) -> Write[Result]:
        """A write that can be withdrawn until a thread takes it. `size`: its bytes, if they may be many. On the loop."""
        write = Write(statement, item, self._loop.create_future(), ONE + size)
        self._writes.put(write)
        return write

    def write(
        self, statement: Statement[Item, Result], item: Item, size: int = 0
    ) -> asyncio.Future[Result]:
        """The item's result, once it is committed. Called on the loop."""
        return self.offer(statement, item, size).answer

    async def commit(self, statement: Statement[Item, Result], item: Item, size: int = 0) -> Result:
        """The item's result, once it is committed; a cancellation of the caller is raised only then.

        Otherwise what a cancelled coroutine writes next could overtake this write: the end of a job, say, the
        answer that was paid for.
        """
        write = self.offer(statement, item, size)
        cancelled: asyncio.CancelledError | None = None
        while True:
            try:
                result = await write.result()
                break
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        return result

    def stop(self, timeout_s: float = 10.0) -> None:
        """Writes what is left, if Postgres answers, and ends the threads."""
        deadline = time.monotonic() + timeout_s
        for _ in self._threads:
            self._writes.put(None)
        _join(self._threads, deadline)
        for _ in self._slow_threads:
            self._aside.put(None)
        _join(self._slow_threads, deadline)
        self._stopping.set()

    def _run(self) -> None:
        while (first := self._writes.get()) is not None:
            in_turn = self._turn.acquire(timeout=PATIENCE_S)
            try:
                self._stopping.wait(self._next_at - time.monotonic())
                batch, ends = self._gather(first)
                if batch:
                    self._commit(batch)
                    self._next_at = time.monotonic() + PACE_S
            finally:
                if in_turn:
                    self._turn.release()
            if ends:
                return

    def _gather(self, first: Write[Any]) -> tuple[list[Write[Any]], bool]:
        batch: list[Write[Any]] = []
        write: Write[Any] | None = first
        weight = 0
        while write is not None:
            if write.take():
                batch.append(write)
                weight += write.weight
            else:
                self._tell([(write, None)])
            if weight >= self._most:
                return batch, False
            try:
                write = self._writes.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, batch: list[Write[Any]], aside_s: float | None = None) -> None:
        """One transaction for all; if Postgres refuses it, one for each part, until the bad write is alone.

        `aside_s`: the time that a batch has which was put aside.
        """
        try:
            results = self._persist(batch, aside_s)
        except Unavailable as error:
            if self._stopping.is_set():
                self._tell([(write, error) for write in batch])
            else:
                self._put_aside(batch, aside_s, error)
        except Exception as error:  # noqa: BLE001 - the coroutine that waits must learn of any error
            if len(batch) == 1:
                self._tell([(batch[0], error)])
            else:
                for part in parts(batch):
                    self._commit(part, aside_s)
        else:
            self._most = min(MOST, self._most * 2)
            self._tell(results)

    def _persist(
        self, batch: list[Write[Any]], aside_s: float | None
    ) -> list[tuple[Write[Any], Any]]:
        """Tries again for as long as Postgres is away. Raises TooSlow if it takes too long or is frozen."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                with self._database.transaction(PLATFORM, aside_s or QUICK_S) as tx:
                    if aside_s:
                        limit_waits(tx, statement_s=aside_s, lock_s=LOCK_S)
                    return run_statements(tx, batch)
            except Unavailable as error:
                if isinstance(error, TooSlow) or self._stopping.is_set():
                    raise
                log.warning("%d writes wait for Postgres: %s", len(batch), error)
                self._stopping.wait(pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    def _put_aside(
        self, batch: list[Write[Any]], aside_s: float | None, error: Unavailable
    ) -> None:
        """Writes are never dropped: they may record what was paid for."""
        log.warning("%d writes took too long and are made apart: %s", len(batch), error)
        self._most = max(ONE, sum(write.weight for write in batch) // 2)
        if len(batch) == 1:
            self._stopping.wait(FIRST_PAUSE_S)
            self._aside.put(Aside(batch, min(LONGEST_S, max(ANSWER_S, 2 * (aside_s or 0)))))
        else:
            for part in parts(batch):
                self._aside.put(Aside(part, QUICK_S))
        with self._starting:
            while len(self._slow_threads) < len(self._threads):
                thread = self._start(self._run_aside, f"slow-commit-{len(self._slow_threads)}")
                self._slow_threads.append(thread)

    def _run_aside(self) -> None:
        while True:
            aside = self._aside.get()
            if aside:
                self._commit(aside.writes, aside.answer_s)
            elif self._aside.empty():
                return
            else:
                self._aside.put(None)

    def _tell(self, results: list[tuple[Write[Any], Any]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, results)
        except RuntimeError:
            log.warning("%d writes were committed after the loop had closed", len(results))


def _join(threads: Sequence[threading.Thread], deadline: float) -> None:
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _resolve(results: list[tuple[Write[Any], Any]]) -> None:
    for write, result in results:
        future = write.answer
        if future.done():
            continue  # its coroutine was cancelled meanwhile
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
