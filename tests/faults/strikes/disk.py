"""Postgres' disk is full: a small tmpfs that only this thread and what it starts can see."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.stack import eventually
from tests.faults.scene import LONG_S, Scene

CLONE_NEWNS = 0x00020000  # linux/sched.h
SIZE = "400m"
CHUNK = b"\0" * 1_048_576
FULL_S = 5.0
NEXT_SEGMENT = "SELECT pg_switch_wal() FROM (SELECT pg_logical_emit_message(true, '', 'full')) _"


def impossible() -> str:
    """Why no disk can be filled here."""
    return "" if os.geteuid() == 0 else "mounting a tmpfs needs root"


@contextmanager
def small_disk(directory: Path) -> Iterator[Sequence[str] | None]:
    """Where `factory up` in the directory will keep Postgres. For a thread that ends afterwards."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "no mount namespace")
    place = directory / "home" / "postgres"
    place.mkdir(parents=True)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place], check=True)
    try:
        yield None
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(scene: Scene) -> None:
    """No table can grow; then no log of transactions either, and Postgres goes down until there is room."""
    ballast = scene.stack.home / "postgres" / "ballast"
    scene.struck()
    _take_all(ballast)
    time.sleep(FULL_S)
    scene.struck()
    for _ in range(3):
        scene.ask(NEXT_SEGMENT)
    time.sleep(FULL_S)
    ballast.unlink()
    eventually(lambda: scene.ask("SELECT 1"), LONG_S)


def _take_all(ballast: Path) -> None:
    try:
        with ballast.open("wb", buffering=0) as file:
            while file.write(CHUNK):
                pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
