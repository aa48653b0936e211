"""Lines of many programs on one terminal, each behind its program's name."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TextIO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)  # ANSI foreground; red is left for errors
RESET = "\x1b[0m"


class Console:
    """Writes whole lines, one at a time whichever thread they come from."""

    def __init__(self, out: TextIO, names: Sequence[str], environ: Mapping[str, str]) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._width = max(map(len, names), default=0)
        coloured = out.isatty() and not environ.get("NO_COLOR")  # https://no-color.org
        self._colours = (
            {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)} if coloured else {}
        )

    def show(self, name: str, line: str) -> None:
        prefix = f"{name:<{self._width}} | "
        colour = self._colours.get(name)
        if colour is not None:
            prefix = f"\x1b[{colour}m{prefix}{RESET}"
        with self._lock:
            try:
                self._out.write(f"{prefix}{line}\n")
                self._out.flush()
            except (OSError, ValueError):
                # The terminal is gone. Go on reading, or the programs would block on a full pipe.
                return
