"""Servers that are there and do not answer: their kernel accepts and acknowledges, they themselves are stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from factory.embedded.postgres import EmbeddedPostgres


def postmaster_of(server: EmbeddedPostgres) -> int:
    """The pid that leads a running Postgres."""
    return int((server.directory / "data" / "postmaster.pid").read_text().split("\n", 1)[0])


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The process and its children do nothing during the block."""
    os.kill(pid, signal.SIGSTOP)  # first: from now on it starts none
    stopped = [pid, *children_of(pid)]
    for one in stopped[1:]:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in stopped:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)


def children_of(pid: int) -> list[int]:
    """The processes that it has started and that run."""
    found: list[int] = []
    for task in Path("/proc", str(pid), "task").glob("*/children"):
        with suppress(OSError):  # the thread has ended meanwhile
            found += map(int, task.read_text().split())
    return found
