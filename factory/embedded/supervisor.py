"""The supervisor of `factory up`: starts programs, keeps them running, stops them in reverse order."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TextIO

from factory.embedded.console import Console
from factory.embedded.program import Program, ProgramRunner, ProgramState
from factory.embedded.watchdog import Watchdog
from factory.errors import Unavailable

POLL_S = 0.1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Supervisor:
    """Runs `programs` and writes their lines to `out`. No process of them outlives this one."""

    def __init__(self, programs: Sequence[Program], out: TextIO) -> None:
        names = [program.name for program in programs]
        self._console = Console(out, ["factory", *names], os.environ)
        self._programs = programs
        self._runners: list[ProgramRunner] = []
        self._watchdog: Watchdog | None = None
        self._stopping = threading.Event()
        self._asked: SimpleQueue[int | None] = SimpleQueue()
        """Signals as they arrive; None once everything has stopped. SimpleQueue.put is safe in a signal handler."""

    def run(self, started: Callable[[], None] | None = None) -> None:
        """Start everything and block until SIGINT, SIGTERM or `stop`; from the main thread only.

        A second signal kills what is still stopping. `started` is called, and errors raised, as by
        `start`.
        """
        with _signals_into(self._asked), ThreadPoolExecutor(1) as hand:
            starting = hand.submit(self.start, started)
            if self._asked.get() is not None:
                self._stopping.set()  # ends a start that still waits
                self._console.show("factory", "stopping; a second signal kills what still runs")
                hand.submit(self.stop)
                while self._asked.get() is not None:
                    self.hurry()
        starting.result()

    def start(self, started: Callable[[], None] | None = None) -> None:
        """Start every program, none waiting for another; call `started` once all are ready.

        Raises Unavailable, with everything stopped, if one is not ready within its `ready_s`. Can be
        called once.
        """
        try:
            self._start_all()
            if started is not None and not self._stopping.is_set():
                started()
        # Whatever stopped the start, even a signal: no program may stay behind.
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in reverse order, replicas of one kind together; returns when all are gone."""
        self._stopping.set()
        for runner in self._runners:
            runner.retire()
        backwards = itertools.groupby(reversed(self._runners), lambda runner: runner.program.kind)
        try:
            for _, replicas in backwards:
                _stop_together(list(replicas))
        finally:
            if self._watchdog is not None:
                self._watchdog.close()
            self._asked.put(None)

    def hurry(self) -> None:
        """SIGKILL every program now; a `stop` that waits then returns."""
        for runner in self._runners:
            runner.kill()

    def states(self) -> list[ProgramState]:
        """Every program now, in starting order; `starts` above 1 tells of restarts."""
        return [runner.state for runner in self._runners]

    def _start_all(self) -> None:
        self._watchdog = Watchdog()
        self._runners = [
            ProgramRunner(program, self._console, self._watchdog) for program in self._programs
        ]
        started = time.monotonic()
        for runner in self._runners:
            if self._stopping.is_set():
                return
            runner.start()
        for program in self._programs:
            self._await_ready(program, started + program.ready_s)

    def _await_ready(self, program: Program, deadline: float) -> None:
        """Waits until the program is ready; a stop ends the wait."""
        while program.ready is not None and not program.ready():
            if self._stopping.wait(POLL_S):
                return
            if time.monotonic() > deadline:
                raise Unavailable(f"{program.name} was not ready after {program.ready_s:g} s")


def _stop_together(runners: Sequence[ProgramRunner]) -> None:
    with ThreadPoolExecutor(len(runners)) as hands:
        for stopped in [hands.submit(runner.stop) for runner in runners]:
            stopped.result()


@contextlib.contextmanager
def _signals_into(queue: SimpleQueue[int | None]) -> Iterator[None]:
    previous = {
        number: signal.signal(number, lambda number, _frame: queue.put(number))
        for number in STOP_SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
