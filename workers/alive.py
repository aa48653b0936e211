"""A file that a program touches whenever it does its work, for liveness probes.

A probe needs no connection and no import: `find FILE -newermt '-60 seconds'`. A program also touches it while a
server is away: restarting the program would not bring the server back.
"""

from __future__ import annotations

import argparse
from pathlib import Path


class AliveFile:
    """Touched by the program; does nothing without a path."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def touch(self) -> None:
        """Says that the program does its work. Raises OSError if the file cannot be written."""
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
