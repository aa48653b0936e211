"""An ordinary user, where the tests run as root."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
AS_NOT_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""Who is called 1000 and has none of root's powers, yet may read an interpreter under /root."""


def can(account: tuple[str, ...], python: Path) -> bool:
    """Whether this is root, and that account can read the interpreter and the project installed in it."""
    if os.geteuid() != 0 or shutil.which(account[0]) is None:
        return False
    # By way of a shell: what setpriv itself executes, it still finds with root's capabilities.
    script = f"exec '{python}' -c 'import factory.cli.main'"
    command = [*account, "/bin/sh", "-c", script]
    return subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0


def ordinary_user(python: Path, directory: Path) -> tuple[str, ...] | None:
    """The command that becomes one, to whom the directory then belongs; None where nobody can be become."""
    if can(AS_NOBODY, python):
        give_to_nobody(directory)
        return AS_NOBODY
    return AS_NOT_ROOT if can(AS_NOT_ROOT, python) else None


def give_to_nobody(directory: Path) -> None:
    """The directory of a test: its own, with a way there."""
    os.chown(directory, NOBODY, NOBODY)
    for parent in list(directory.parents)[:2]:  # pytest's own, which are closed to others
        parent.chmod(0o711)
