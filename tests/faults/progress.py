"""A line on a terminal that says how far a run has come."""

from __future__ import annotations

import sys
import threading
from typing import TextIO

CELLS = 24


class Progress:
    """Shows what is done and what is being broken now; silent where stderr is no terminal."""

    def __init__(self, total: int, out: TextIO = sys.stderr) -> None:
        self._total = total
        self._out = out
        self._done = 0
        self._running: list[str] = []
        self._lock = threading.Lock()

    def begin(self, name: str) -> None:
        """This is being broken from here on."""
        with self._lock:
            self._running.append(name)
            self._show()

    def end(self, name: str, line: str) -> None:
        """Prints the line on stdout, above the bar."""
        with self._lock:
            self._running.remove(name)
            self._done += 1
            if self._out.isatty():
                self._out.write("\r\x1b[K")
            print(line, flush=True)
            self._show()

    def close(self) -> None:
        """Leaves nothing of the bar."""
        if self._out.isatty():
            self._out.write("\r\x1b[K")

    def _show(self) -> None:
        if self._out.isatty():
            full = CELLS * self._done // self._total
            bar = "#" * full + "." * (CELLS - full)
            running = " ".join(self._running)
            self._out.write(f"\r\x1b[K[{bar}] {self._done}/{self._total} {running}")
            self._out.flush()
