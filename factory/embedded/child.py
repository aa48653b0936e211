"""Child processes that end when this process ends, however it ends (Linux)."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Account:
    """The account of a child: ids to switch to, and a step to take in the child before exec."""

    uid: int | None = None
    gid: int | None = None
    enter: Callable[[], None] | None = None


OWN_ACCOUNT = Account()


class Child:
    """A process that leads a session and process group of its own; the group ends with it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self.stdout: IO[bytes] | None = process.stdout
        self._process = process
        self._reaping = threading.Lock()
        self._ended = threading.Event()

    @property
    def returncode(self) -> int | None:
        """The exit status, minus the signal's number if a signal ended it, None while it runs."""
        return self._process.returncode if self._ended.is_set() else None

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """True once the process has ended, False if the time runs out first."""
        return self._ended.wait(timeout_s)

    def send(self, number: signal.Signals) -> None:
        """Signal the process itself; nothing happens once it has ended."""
        with self._reaping:
            if self.running:
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL the whole group."""
        with self._reaping:
            if self.running:
                os.killpg(self.pid, signal.SIGKILL)

    def end(self, steps: Iterable[tuple[signal.Signals, float]]) -> None:
        """Send each signal and wait its seconds, then SIGKILL; returns when the process is gone."""
        for number, grace_s in steps:
            self.send(number)
            if self.wait(grace_s):
                return
        self.kill()
        self.wait()

    def keep(self) -> None:
        """Wait for the exit, end the group, reap. In this order: a zombie still reserves its id."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._reaping:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            self._ended.set()


def spawn(
    argv: Sequence[str | Path],
    *,
    death_signal: signal.Signals,
    output: int | IO[bytes] = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    inherited_fds: Sequence[int] = (),
    account: Account = OWN_ACCOUNT,
) -> Child:
    """Start a process that gets `death_signal` when this one dies; stdout and stderr go to `output`.

    The kernel ties that signal to the *thread* that forked, so each child has a thread of its own
    that forks it and stays until it has ended. Raises OSError when the program cannot be started,
    subprocess.SubprocessError when the account cannot be entered.
    """
    started: Future[Child] = Future()

    def live() -> None:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                pass_fds=inherited_fds,
                start_new_session=True,
                user=account.uid,
                group=account.gid,
                extra_groups=None if account.uid is None else (),
                preexec_fn=_leash(death_signal, account.enter),  # noqa: PLW1509 - takes no lock
            )
        except (OSError, subprocess.SubprocessError) as error:
            started.set_exception(error)
            return
        child = Child(process)
        started.set_result(child)
        child.keep()

    threading.Thread(target=live, name=f"child {Path(argv[0]).name}", daemon=True).start()
    return started.result()


def _leash(death_signal: signal.Signals, enter: Callable[[], None] | None) -> Callable[[], None]:
    """What the child does between fork and exec. The death signal is set last: a change of user would clear it."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def before_exec() -> None:
        if enter is not None:
            enter()
        prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # the parent died before the line above, so no signal will come
            os._exit(1)

    return before_exec
