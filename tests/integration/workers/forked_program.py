"""What the tests of the fork server have forked: does what its words say."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from workers.fork_server import serve


def act(words: Sequence[str]) -> None:
    """`exit CODE`, `die`, `break`, or `tell FILE [GO]`: writes `pid server` there, and ends when GO exists."""
    match words:
        case ["exit", code]:
            sys.exit(int(code))
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["break"]:
            raise RuntimeError("broken")
        case ["tell", path, *go]:
            sys.stdout.write("this goes to stderr\n")
            Path(path + ".new").write_text(f"{os.getpid()} {os.getppid()}")
            os.rename(path + ".new", path)
            while not all(Path(one).exists() for one in go):
                time.sleep(0.02)


if __name__ == "__main__":
    serve(act)
