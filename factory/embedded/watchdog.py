"""Ends process groups when the process that started this one is gone, however it ended.

Run as a script of its own, it reads lines from stdin, `+<watch> <pgid>` and `-<watch>`: the kernel closes that pipe
even if the writer was killed, and then every group still listed gets SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count


class Watchdog:
    """Ends this process' groups of children if it dies without doing so."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def watch(self) -> Watch:
        """An entry of the list for a child that is about to be started."""
        return Watch(self, next(self._numbers))

    def close(self) -> None:
        """End the watch; groups that were not removed are killed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        # If somebody killed the watchdog, the children still have their own death signal.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._process.stdin.fileno(), line.encode())


@dataclass(frozen=True, slots=True)
class Watch:
    """The entry of one child. The child adds itself before it runs anything: this process may be killed right after
    the fork.
    """

    watchdog: Watchdog
    number: int

    def enter(self) -> None:
        """In the child, which leads its group, between fork and exec."""
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self.watchdog.tell(f"+{self.number} {os.getpid()}\n")
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    def end(self) -> None:
        """The child has ended, or was never started."""
        self.watchdog.tell(f"-{self.number}\n")


def watch(lines: Iterable[str]) -> None:
    """Follow the list to its end, then kill what it still names."""
    groups: dict[str, int] = {}
    for line in lines:
        number, _, leader = line[1:].strip().partition(" ")
        if line[0] == "+":
            groups[number] = int(leader)
        else:
            groups.pop(number, None)
    for pgid in groups.values():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pgid, signal.SIGKILL)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch(sys.stdin)
