"""A program that is kept running: started, its lines shown, started again when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO

from factory.embedded.child import Account, Child, spawn
from factory.embedded.console import Console
from factory.embedded.watchdog import Watch, Watchdog

FIRST_DELAY_S = 1.0
LAST_DELAY_S = 8.0
STABLE_S = 10.0
"""A program that ran for so long did start; whatever ended it, the delays begin anew."""
CANNOT_START = 127
"""The exit status that a shell gives to a command not found."""
DRAIN_S = 1.0
"""How long to wait for the last lines of a program that has ended."""


@dataclass(frozen=True)
class Program:
    """What to run. `env` comes on top of this process's environment."""

    name: str
    """Unique. Replicas share the part before the dot: worker.1, worker.2."""
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cwd: Path | None = None
    """The working directory; None: this process's own."""
    stop_grace_s: float = 10.0
    """Seconds from SIGTERM to SIGKILL."""
    ready: Callable[[], bool] | None = None
    """Called until it gives True; None: the program is ready as soon as it runs."""
    ready_s: float = 60.0
    """How long it may take to be ready."""

    @property
    def kind(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class ProgramState:
    """A program at one moment; `pid` is None between an exit and the next start."""

    name: str
    pid: int | None
    starts: int
    last_exit: int | None
    """Exit status, or minus the signal's number; None if it never ended."""


@dataclass(frozen=True)
class Backoff:
    """Seconds to wait before the next start: doubled each time, and reset once the program was stable."""

    delay_s: float = 0.0

    def after(self, ran_s: float) -> Backoff:
        """The backoff after a run of `ran_s` seconds."""
        if ran_s >= STABLE_S or self.delay_s == 0.0:
            return Backoff(FIRST_DELAY_S)
        return Backoff(min(self.delay_s * 2, LAST_DELAY_S))


class ProgramRunner:
    """Keeps one program running in a thread of its own until it is told to stop."""

    def __init__(self, program: Program, console: Console, watchdog: Watchdog) -> None:
        self.program = program
        self._console = console
        self._watchdog = watchdog
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keep {program.name}", daemon=True)
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._starts = 0
        self._last_exit: int | None = None

    @property
    def state(self) -> ProgramState:
        with self._lock:
            pid = self._child.pid if self._child is not None else None
            return ProgramState(self.program.name, pid, self._starts, self._last_exit)

    def start(self) -> None:
        self._thread.start()

    def retire(self) -> None:
        """Prevents further starts; what runs goes on running."""
        with self._lock:
            self._stopping.set()

    def stop(self) -> None:
        """Retire, SIGTERM, after its grace SIGKILL; returns when the program is gone."""
        self.retire()
        child = self._child
        if child is not None:
            child.end(((signal.SIGTERM, self.program.stop_grace_s),))
        if self._thread.ident is not None:
            self._thread.join()

    def kill(self) -> None:
        """SIGKILL now, without waiting."""
        child = self._child
        if child is not None:
            child.kill()

    def _keep(self) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            started = time.monotonic()
            self._run_once()
            backoff = backoff.after(time.monotonic() - started)
            if not self._stopping.is_set():
                self._say(f"{self._how_it_ended()}; starts again in {backoff.delay_s:g} s")
                self._stopping.wait(backoff.delay_s)
        self._say("stopped")

    def _run_once(self) -> None:
        watch = self._watchdog.watch()
        try:
            child = self._launch(watch)
            if child is None:
                return
            reader = threading.Thread(target=self._show, args=(child.stdout,), daemon=True)
            reader.start()
            child.wait()
        except OSError as error:
            self._say(f"cannot start: {error}")
            self._last_exit = CANNOT_START
            return
        finally:
            watch.end()
        reader.join(DRAIN_S)
        with self._lock:
            self._child, self._last_exit = None, child.returncode

    def _launch(self, watch: Watch) -> Child | None:
        """Under the lock, so that a stop either sees this child or prevents it."""
        with self._lock:
            if self._stopping.is_set():
                return None
            self._starts += 1
            self._child = spawn(
                self.program.argv,
                death_signal=signal.SIGKILL,
                output=subprocess.PIPE,
                env={**os.environ, **self.program.env},
                cwd=self.program.cwd,
                account=Account(enter=watch.enter),
            )
            return self._child

    def _show(self, stdout: IO[bytes]) -> None:
        with stdout:
            for line in stdout:
                self._console.show(self.program.name, line.decode(errors="replace").rstrip("\r\n"))

    def _how_it_ended(self) -> str:
        status = self._last_exit or 0
        if status < 0:
            return f"ended by signal {-status} ({signal.strsignal(-status)})"
        return f"ended with {status}"

    def _say(self, what: str) -> None:
        self._console.show("factory", f"{self.program.name} {what}")
