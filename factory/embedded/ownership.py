"""One owner for a directory, and no server in it that an earlier owner left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from factory.errors import Conflict

POLL_S = 0.02
PF_EXITING = 0x4  # linux/sched.h; proc(5): the ninth field of stat
LEAVE_S = 6.0
"""How long a server may take to end by itself after its owner died (Postgres kills its own at 5 s)."""


class FileLock:
    """A lock by flock: held until it is released, or until every process that inherited it is gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def is_free(self) -> bool:
        """Whether nobody holds the lock. Two processes may check at once; neither takes the other for an owner."""
        probe = FileLock(self.path)
        free = probe.acquire(how=fcntl.LOCK_SH) is not None
        probe.release()
        return free

    def acquire(self, wait_s: float = 0.0, how: int = fcntl.LOCK_EX) -> int | None:
        """The locked descriptor, or None if another process still holds it after `wait_s`.

        Waits up to LEAVE_S longer for a holder that was killed and is not gone yet.
        """
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait_s
        while not _try_lock(fd, how):
            over_s = time.monotonic() - deadline
            if over_s >= LEAVE_S or (over_s >= 0 and not self._holders_leave()):
                os.close(fd)
                return None
            time.sleep(POLL_S)
        self._fd = fd
        return fd

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _holders_leave(self) -> bool:
        """Whether all visible holders are ending; a process that ends loses its descriptors first."""
        return all(is_leaving(pid) for pid in holders(self.path))


class Ownership:
    """The right to run a server in `directory`.

    Two locks: `owner.lock` belongs to this process alone and decides at once who the owner is.
    `server.lock` is inherited by the server, so it stays locked as long as any process of it lives.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._owner = FileLock(directory / "owner.lock")
        self._server = FileLock(directory / "server.lock")

    def take(self) -> int:
        """Create the directory (0700), become its owner, wait for old servers to end. Gives the descriptor that the
        server must inherit. Raises Conflict if another owner lives.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._owner.acquire() is None:
            raise _in_use(self.directory, "by another process")
        server_fd = self._server.acquire(LEAVE_S)
        if server_fd is None:
            for pid in holders(self._server.path):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            server_fd = self._server.acquire(LEAVE_S)
        if server_fd is None:
            self._owner.release()
            raise _in_use(self.directory, "by a server that does not end")
        return server_fd

    def release(self) -> None:
        self._server.release()
        self._owner.release()


def holders(path: Path) -> Iterator[int]:
    """Processes, other than this one, that have the file open (as far as /proc lets us see)."""
    for fds in Path("/proc").glob("[0-9]*/fd"):
        pid = int(fds.parent.name)
        if pid != os.getpid() and _has_open(fds, path):
            yield pid


def _has_open(fds: Path, path: Path) -> bool:
    try:
        return any(os.readlink(fd) == str(path) for fd in fds.iterdir())
    except OSError:  # it ended meanwhile, or belongs to another user
        return False


def is_leaving(pid: int) -> bool:
    """Whether the process is ending or has ended, or has a pending SIGKILL."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    pending = re.findall(r"^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$", status, re.MULTILINE)
    killed = any(int(signals, 16) >> (signal.SIGKILL - 1) & 1 for signals in pending)
    return killed or stat[0] in "ZX" or bool(int(stat[6]) & PF_EXITING)


def _try_lock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _in_use(directory: Path, by_whom: str) -> Conflict:
    return Conflict(f"{directory} is in use {by_whom}", code="directory_in_use")
