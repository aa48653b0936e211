"""Other workers on this machine: one whose process is gone need not be waited for until its lease ends."""

from __future__ import annotations

import os
import socket
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NAMESPACE = Path("/proc/self/ns/pid")


def pid_namespace() -> str | None:
    """Names the machine, its boot and the set of processes that this one is in; None where Linux does not
    tell. Within it, a process id means the same to everybody.
    """
    try:
        return f"{socket.gethostname()} {BOOT_ID.read_text().strip()} {NAMESPACE.readlink()}"
    except OSError:
        return None


def is_gone(pid: int) -> bool:
    """Whether no process of this namespace has the id: certain if True. If the id was given to another
    process, or nobody has reaped the dead one, it is False, and the lease decides.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # somebody else's
    return False
