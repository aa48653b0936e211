"""The account that Postgres runs as: it refuses to run as root."""

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
USUAL_UID = 1000


def unprivileged_account(program: Path, directory: Path) -> Account:
    """An account that is not root, can run `program` and can reach `directory`.

    A user namespace comes first: there root has another's name, yet reads what root may read, such as
    an installation under /root. Where namespaces are refused (Docker's seccomp profile), `nobody`.
    Raises Misconfigured if neither will do. A user that no name belongs to, as OpenShift hands them out, gets one
    in a namespace too: initdb asks for it.
    """
    if os.geteuid() != 0:
        inside = Account(enter=_namespace_entry())
        named = _has_name(os.geteuid()) or not _can_run(program, directory, inside)
        return OWN_ACCOUNT if named else inside
    nobody = pwd.getpwnam("nobody")
    candidates = (
        Account(enter=_namespace_entry()),
        Account(uid=nobody.pw_uid, gid=nobody.pw_gid),
    )
    for account in candidates:
        if _can_run(program, directory, account):
            return account
    raise Misconfigured(
        "As root, the embedded Postgres needs user namespaces, or that 'nobody' can reach "
        f"{program} and {directory}. Run as an ordinary user, or set DATABASE_URL.",
        param="DATABASE_URL",
    )


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False


def _uid_inside() -> int:
    """A user id that has a name and is not root's."""
    named = [one.pw_uid for one in pwd.getpwall() if one.pw_uid != 0]
    return USUAL_UID if USUAL_UID in named or not named else named[0]


def _can_run(program: Path, directory: Path, account: Account) -> bool:
    try:
        trial = spawn(
            ["/bin/sh", "-c", 'cd "$0" && exec "$1" --version', directory, program],
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
    """As `unshare --user --map-user=…`, which RHEL 8's util-linux does not know yet."""
    unshare = ctypes.CDLL(None, use_errno=True).unshare
    inside = _uid_inside()
    maps = (
        ("/proc/self/setgroups", b"deny"),
        ("/proc/self/uid_map", b"%d %d 1" % (inside, os.geteuid())),
        ("/proc/self/gid_map", b"%d %d 1" % (inside, os.getegid())),
    )

    def enter() -> None:
        if unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "user namespaces are refused")
        for path, text in maps:
            fd = os.open(path, os.O_WRONLY)
            os.write(fd, text)
            os.close(fd)

    return enter
