"""Whom Postgres runs as: it refuses to run as root."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from factory.embedded.child import OWN_ACCOUNT, Account, spawn
from factory.errors import Misconfigured

CLONE_NEWUSER = 0x10000000  # linux/sched.h
UID_INSIDE = 1000


def unprivileged_account(program: Path) -> Account:
    """An account that is not root and can run `program`; raises Misconfigured if root finds none.

    A user namespace comes first: there root is called 1000, yet reads what root may read, such as
    an installation under /root. Where namespaces are refused (Docker's seccomp profile), `nobody`.
    """
    if os.geteuid() != 0:
        return OWN_ACCOUNT
    nobody = pwd.getpwnam("nobody")
    candidates = (
        Account(enter=_namespace_entry()),
        Account(uid=nobody.pw_uid, gid=nobody.pw_gid),
    )
    for account in candidates:
        if _can_run(program, account):
            return account
    raise Misconfigured(
        f"As root, the embedded Postgres needs user namespaces, or an installation that 'nobody' can "
        f"read ({program} is not). Run as an ordinary user, or set DATABASE_URL.",
        param="DATABASE_URL",
    )


def _can_run(program: Path, account: Account) -> bool:
    try:
        trial = spawn(
            [program, "--version"],
            death_signal=signal.SIGKILL,
            output=subprocess.DEVNULL,
            cwd=Path("/"),
            account=account,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    trial.wait()
    return trial.returncode == 0


def _namespace_entry() -> Callable[[], None]:
    """As `unshare --user --map-user=1000`, which RHEL 8's util-linux does not know yet."""
    unshare = ctypes.CDLL(None, use_errno=True).unshare
    maps = (
        ("setgroups", "deny"),
        ("uid_map", f"{UID_INSIDE} {os.geteuid()} 1"),
        ("gid_map", f"{UID_INSIDE} {os.getegid()} 1"),
    )

    def enter() -> None:
        if unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "user namespaces are refused")
        for name, text in maps:
            Path("/proc/self", name).write_text(text)

    return enter
