"""Local peers: other workers on this machine. If a peer's process is gone, its lease can end at once."""

from __future__ import annotations

import os
import socket
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NAMESPACE = Path("/proc/self/ns/pid")


def pid_namespace() -> str | None:
    """Identifies the machine, its boot and the pid namespace; None if Linux does not tell. Within it, a process id
    means the same to every process.
    """
    try:
        return f"{socket.gethostname()} {BOOT_ID.read_text().strip()} {NAMESPACE.readlink()}"
    except OSError:
        return None


def is_gone(pid: int) -> bool:
    """Whether no process of this namespace has the id. True is certain. False may be wrong, if the id belongs to another
    process by now or the dead one is a zombie; then the lease decides.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # another user's process
    return False
