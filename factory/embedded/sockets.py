"""Where unix sockets go: their paths are limited to 107 bytes, data directories are not."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from factory.errors import Misconfigured

PATH_BYTES_MAX = 107  # unix(7): sun_path is 108 bytes with its closing zero
NAME_BYTES = 16
"""Room for the longest socket name used here, with its slash."""


def socket_directory(directory: Path) -> Path:
    """`directory` itself if its path is short enough, else a private one in the temporary directory.

    The latter's name derives from the path, so that the address stays the same after a restart.
    """
    if _fits(directory):
        return directory
    short = _short(directory)
    if not _fits(short):
        raise Misconfigured(f"{short} is too long for a unix socket", param="TMPDIR")
    short.mkdir(mode=0o700, exist_ok=True)
    _demand_private(short)
    return short


def remove_socket_directory(directory: Path) -> None:
    """Remove the short one, if there is one and no server has its socket there."""
    with contextlib.suppress(OSError):
        _short(directory).rmdir()


def _short(directory: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"factory-{digest}")


def _fits(directory: Path) -> bool:
    return len(os.fsencode(directory)) + NAME_BYTES <= PATH_BYTES_MAX


def _demand_private(directory: Path) -> None:
    """Anyone may create names in /tmp, so a directory that others could have prepared is refused."""
    status = directory.lstat()
    mine = os.geteuid() in (0, status.st_uid)
    if not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077 or not mine:
        raise Misconfigured(f"{directory} is not a private directory of this user", param="TMPDIR")
