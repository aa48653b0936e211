"""A server process in a directory: owned, logged, awaited, ended. What Postgres and Valkey share."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from factory.embedded.child import OWN_ACCOUNT, Account, Child, spawn
from factory.embedded.ownership import POLL_S, Ownership
from factory.embedded.sockets import remove_socket_directory
from factory.errors import Unavailable

START_S = 60.0
"""Enough to replay either server's log after a crash."""
LOG_TAIL_LINES = 10
StopSteps = Sequence[tuple[signal.Signals, float]]


class Server:
    """At most one process at a time, run by the one owner of `directory`."""

    def __init__(self, name: str, directory: Path, stop_steps: StopSteps) -> None:
        self.directory = directory
        self.log_path = directory / f"{name}.log"
        self._name = name
        self._stop_steps = stop_steps
        self._ownership = Ownership(directory)
        self._child: Child | None = None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @contextlib.contextmanager
    def starting(self) -> Iterator[int]:
        """Own the directory, and give it up again if the start fails; gives the lock to inherit.

        Raises Conflict if the directory has another owner.
        """
        lock_fd = self._ownership.take()
        try:
            yield lock_fd
        # Whatever stopped the start, even a signal: no server without an owner may stay behind.
        except BaseException:
            self.stop()
            raise

    def launch(
        self,
        argv: Sequence[str | Path],
        lock_fd: int,
        *,
        death_signal: signal.Signals,
        account: Account = OWN_ACCOUNT,
        env: Mapping[str, str] | None = None,
    ) -> Child:
        """Run a program here: its output goes to the log, `stop` ends it."""
        with self.log_path.open("ab") as log:
            self._child = spawn(
                argv,
                death_signal=death_signal,
                output=log,
                env=os.environ if env is None else env,
                cwd=Path("/"),
                inherited_fds=[lock_fd],
                account=account,
            )
        return self._child

    def await_ready(self, child: Child, answers: Callable[[], bool]) -> None:
        """Poll until the server answers; raises Unavailable with the end of the log if it does not."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if child.wait(POLL_S):
                raise self.unavailable("ended while starting")
            if answers():
                return
        raise self.unavailable(f"was not ready after {START_S:.0f} s")

    def stop(self) -> None:
        """End the process, and give the directory up."""
        if self._child is not None:
            self._child.end(self._stop_steps)
            self._child = None
            remove_socket_directory(self.directory)
        self._ownership.release()

    def unavailable(self, what: str) -> Unavailable:
        tail = self.log_path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return Unavailable("\n".join([f"{self._name} {what}; the end of {self.log_path}:", *tail]))
