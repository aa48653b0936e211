"""A log file that may be renamed at any moment: the next line goes to a new one of its name."""

from __future__ import annotations

import os
import sys
import threading
from io import TextIOBase
from pathlib import Path

MODE = 0o640


class LogFile(TextIOBase):
    """Appends each text that is written by one call to the kernel, so that lines of several processes stay whole.

    Raises OSError where the file cannot be opened at first. Later, what the disk does not take goes to stderr.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._fd = self._open()

    def write(self, text: str) -> int:
        """Writes all of it, into the file that has the name now."""
        data = memoryview(text.encode(errors="backslashreplace"))
        try:
            with self._lock:
                self._follow()
                while data:
                    data = data[os.write(self._fd, data) :]
        except OSError as error:
            rest = bytes(data).decode(errors="replace")
            sys.stderr.write(f"{self._path}: {error.strerror}\n{rest}")
        return len(text)

    def close(self) -> None:
        """Lets the file go."""
        if not self.closed:
            os.close(self._fd)
        super().close()

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)

    def _follow(self) -> None:
        """Opens the file anew if it was renamed or removed."""
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            named = None
        mine = os.fstat(self._fd)
        if named is None or (named.st_dev, named.st_ino) != (mine.st_dev, mine.st_ino):
            earlier, self._fd = self._fd, self._open()
            os.close(earlier)
