"""A file that is as old as it is since its program last did what it is there for. Probes look at it from outside.

No connection is made and nothing is imported by a look: `find FILE -newermt '-60 seconds'`. A server that is away
makes no file old: to restart its clients would not bring it back.
"""

from __future__ import annotations

import argparse
from pathlib import Path


class AliveFile:
    """Touched by the program itself; None: nobody looks."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def touch(self) -> None:
        """The program does its work now. Raises OSError where the file cannot be written."""
        if self._path:
            self._path.touch()


def add_alive_option(parser: argparse.ArgumentParser) -> None:
    """`--alive-file PATH`, the same for every program that has one."""
    parser.add_argument(
        "--alive-file",
        type=Path,
        default=None,
        metavar="PATH",
        help="touched while the program does its work, for liveness probes",
    )
