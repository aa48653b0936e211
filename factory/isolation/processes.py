"""Functions run in child processes, from an event loop: `await processes.run(function, args, timeout_s=2.0)`.

Why not threads: a thread cannot be killed, and shares the interpreter lock. Why not `ProcessPoolExecutor` or pebble:
the first cannot end a single task; the second (LGPL) needs three threads a pool, and serves tasks in a single queue.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from asyncio import IncompleteReadError
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar, TypeVarTuple

from factory.errors import FactoryError, WorkLost, WorkTooLong
from factory.isolation import frames
from factory.isolation.child import READY
from factory.isolation.turns import Turns

START_S = 180.0
"""The longest start of a child, on a busy machine."""
START_PAUSES_S = (1.0, 5.0)
"""Before a start that failed is tried again: work that was paid for must not fail for a moment without memory."""
IDLE_S = 300.0
MEMORY_BYTES = 2 << 30

Args = TypeVarTuple("Args")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Processes:
    """At most `most` children, started when they are needed. Belongs to one event loop.

    `modules`: what a child imports before its first request, so that imports do not count in any `timeout_s`. A child
    that is idle for `idle_s` ends. It dies with this process, however this process ends, and may use `memory_bytes`.
    It is a fresh interpreter (no fork): a function sees only its arguments and its module.
    """

    def __init__(
        self,
        name: str,
        *,
        most: int,
        modules: Sequence[str] = (),
        idle_s: float = IDLE_S,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._name = name
        self._modules = tuple(modules)
        self._memory_bytes = memory_bytes
        self._idle_s = idle_s
        self._turns = Turns(most)
        self._spare: list[asyncio.Future[_Child]] = []
        """Idle children: ready ones, and ones whose caller left while they were starting."""
        self._children: set[_Child] = set()
        self._closed = False

    async def run(
        self,
        function: Callable[[*Args], Result],
        args: tuple[*Args],
        *,
        timeout_s: float,
        owner: str = "",
    ) -> Result:
        """`function(*args)` in a child; both and the result are pickled, so the function is one of a module.

        Raises the FactoryError that the function raised; WorkTooLong after `timeout_s` of work; WorkLost when the
        child died or the function raised anything else. The child of a caller that is late or cancelled is killed, and
        a new one takes its place. Owners (for example projects) take turns, and no owner gets all children.
        """
        request = frames.pack((function, args))
        await self._turns.take(owner)
        try:
            child = await self._find_child()
            return await self._ask(child, request, timeout_s)  # type: ignore[no-any-return]
        finally:
            self._turns.give_back(owner)

    async def close(self) -> None:
        """Kills all children; calls that still run raise WorkLost."""
        self._closed = True
        for starting in self._spare:
            starting.cancel()
        children = tuple(self._children)
        for child in children:
            child.kill()
        await asyncio.gather(*(child.gone() for child in children))

    @property
    def pids(self) -> list[int]:
        """The children that live now."""
        return [child.pid for child in self._children if not child.ended]

    async def _find_child(self) -> _Child:
        while True:
            starting = self._spare.pop() if self._spare else self._start_soon()
            try:
                child = await asyncio.shield(starting)
            except asyncio.CancelledError:
                # The started child is kept: otherwise a series of impatient callers would never get one.
                if not _failed(starting):
                    self._spare.append(starting)
                raise
            child.keep_busy()
            if not child.ended:
                return child

    def _start_soon(self) -> asyncio.Future[_Child]:
        return asyncio.get_running_loop().create_task(self._start())

    async def _start(self) -> _Child:
        for pause_s in START_PAUSES_S:
            if child := await self._try_start():
                return child
            await asyncio.sleep(pause_s)
        if child := await self._try_start():
            return child
        raise WorkLost(f"no process for the {self._name} could be started")

    async def _try_start(self) -> _Child | None:
        if self._closed:
            raise WorkLost(f"the {self._name} is closed")
        try:
            return await _Child.start(self._modules, self._memory_bytes, self._children)
        except (OSError, EOFError, TimeoutError) as error:
            log.warning("no process for the %s: %s", self._name, type(error).__name__)
            return None

    async def _ask(self, child: _Child, request: bytes, timeout_s: float) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                succeeded, value = await child.ask(request)
        except TimeoutError:
            child.kill()
            raise WorkTooLong(f"the {self._name} took more than {timeout_s:g} s") from None
        except (EOFError, OSError):
            child.kill()
            raise WorkLost(f"the process of the {self._name} died") from None
        # A cancelled caller too: the child would go on with work that nobody waits for.
        except BaseException:
            child.kill()
            raise
        self._put_back(child)
        if succeeded:
            return value
        if isinstance(value, FactoryError):
            raise value
        log.error("the %s broke: %s", self._name, value)
        raise WorkLost(f"the {self._name} broke: {str(value).splitlines()[-1].split(':')[0]}")

    def _put_back(self, child: _Child) -> None:
        ready = asyncio.get_running_loop().create_future()
        ready.set_result(child)
        self._spare.append(ready)
        child.end_after(self._idle_s, lambda: self._retire(ready))

    def _retire(self, ready: asyncio.Future[_Child]) -> None:
        if ready in self._spare:
            self._spare.remove(ready)
            ready.result().kill()


def _failed(starting: asyncio.Future[_Child]) -> bool:
    return starting.done() and (starting.cancelled() or starting.exception() is not None)


class _Child:
    """A process that answers one request at a time."""

    def __init__(self, process: Process, living: set[_Child]) -> None:
        self.pid = process.pid
        self._process = process
        self._living = living
        self._retirement: asyncio.TimerHandle | None = None
        self._reaping: asyncio.Task[None] | None = None
        living.add(self)

    @classmethod
    async def start(cls, modules: Sequence[str], memory_bytes: int, living: set[_Child]) -> _Child:
        """Returns when it is ready. Raises OSError, EOFError or TimeoutError."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "factory.isolation.child",
            str(os.getpid()),
            str(memory_bytes),
            *modules,
            stdin=PIPE,
            stdout=PIPE,
        )
        child = cls(process, living)
        try:
            async with asyncio.timeout(START_S):
                await child._read(len(READY))
        # A cancelled caller too: the child would go on without anybody who could stop it.
        except BaseException:
            child.kill()
            raise
        return child

    @property
    def ended(self) -> bool:
        return self._reaping is not None or self._process.returncode is not None

    async def ask(self, request: bytes) -> Any:
        """What the child answers. Raises EOFError or OSError when it has died."""
        assert self._process.stdin is not None
        self._process.stdin.write(request)
        await self._process.stdin.drain()
        header = await self._read(frames.HEADER.size)
        return frames.unpack(await self._read(frames.length_of(header)))

    def end_after(self, idle_s: float, retire: Callable[[], None]) -> None:
        self._retirement = asyncio.get_running_loop().call_later(idle_s, retire)

    def keep_busy(self) -> None:
        if self._retirement:
            self._retirement.cancel()
            self._retirement = None

    def kill(self) -> None:
        """It ends now, whatever it does; asyncio reaps it."""
        self.keep_busy()
        with suppress(ProcessLookupError):
            self._process.kill()
        if self._reaping is None:
            self._reaping = asyncio.create_task(self._reap())

    async def gone(self) -> None:
        """Returns when it is reaped."""
        if self._reaping:
            await self._reaping

    async def _reap(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        await self._process.wait()
        self._living.discard(self)

    async def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        try:
            return await self._process.stdout.readexactly(size)
        except IncompleteReadError:
            raise EOFError("the child closed its pipe") from None
