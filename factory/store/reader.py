"""Reads that may be slow, on threads and connections of their own: no commit waits for them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, TypeVar
from uuid import UUID

from factory.domain.principal import PLATFORM
from factory.errors import ReadTooSlow, TooSlow, Unavailable
from factory.store.answers import Limit
from factory.store.database import Database, Tx, limit_of

THREADS = 4
SHARE = 2
"""Reads of one project that run at once: the other threads stay free for other projects."""
READ_S = 10.0
"""Longest statement of a read; Postgres ends it."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Reader:
    """Answers reads for the coroutines of one loop. Made on it; connects with the first read.

    A read that is too slow is ended, in Postgres as well, and fails its own caller. A read whose caller was
    cancelled is ended too. While Postgres is away, reads wait for it, as commits do.
    """

    def __init__(self, libpq_url: str, *, read_s: float = READ_S) -> None:
        self._database = Database(
            libpq_url, pool_size=THREADS, process="worker-reads", statement_s=read_s
        )
        self._read_s = read_s
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="reader")
        self._turns = _Turns()

    async def read(self, project_id: UUID, statement: Callable[[Tx], Result]) -> Result:
        """What the statement gives. Raises ReadTooSlow."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await self._attempt(project_id, statement)
            except TooSlow as error:
                if error.measured:
                    raise ReadTooSlow(
                        f"a read took longer than {self._read_s:g} s in Postgres"
                    ) from error
                log.warning("a read waits for Postgres: %s", error)
            except Unavailable as error:
                log.warning("a read waits for Postgres: %s", error)
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    def close(self) -> None:
        """Starts no more reads. Those that run end within `read_s`."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._database.close()

    async def _attempt(self, project_id: UUID, statement: Callable[[Tx], Result]) -> Result:
        await self._turns.take(project_id)
        read = _Read(statement)
        # The thread gives its turn back: this coroutine may be cancelled long before.
        running = self._threads.submit(read.run, self._database, self._read_s)
        running.add_done_callback(lambda _: self._give_back(project_id))
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            read.give_up()
            raise

    def _give_back(self, project_id: UUID) -> None:
        with suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(self._turns.give_back, project_id)


class _Read(Generic[Result]):
    """One read on a thread, which the coroutine that waits for it may cancel."""

    def __init__(self, statement: Callable[[Tx], Result]) -> None:
        self._statement = statement
        self._limit: Limit | None = None
        self._given_up = False

    def run(self, database: Database, read_s: float) -> Result:
        """On the thread."""
        # Postgres itself ends a slow statement after `read_s`; the longer time is for when it does not answer.
        with database.transaction(PLATFORM, 2 * read_s) as tx:
            self._limit = limit_of(tx)
            if self._given_up:
                raise Unavailable("nobody waits for this read any more")
            return self._statement(tx)

    def give_up(self) -> None:
        """On the loop, at any time: ends the read."""
        self._given_up = True
        if self._limit:
            self._limit.cut()


class _Turns:
    """At most `THREADS` reads at once and `SHARE` of one project; projects that wait take turns."""

    def __init__(self) -> None:
        self._running: Counter[UUID] = Counter()
        self._waiting: dict[UUID, deque[asyncio.Future[None]]] = {}

    async def take(self, project_id: UUID) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(project_id, deque()).append(turn)
        self._start()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(project_id)
            raise

    def give_back(self, project_id: UUID) -> None:
        self._running[project_id] -= 1
        self._running += Counter()  # drops what is zero
        self._start()

    def _start(self) -> None:
        while self._running.total() < THREADS:
            able = (one for one in self._waiting if self._running[one] < SHARE)
            project_id = next(able, None)
            if project_id is None:
                return
            # A project that had a turn goes to the end of the queue.
            turns = self._waiting.pop(project_id)
            turn = turns.popleft()
            if turns:
                self._waiting[project_id] = turns
            if not turn.cancelled():
                self._running[project_id] += 1
                turn.set_result(None)
