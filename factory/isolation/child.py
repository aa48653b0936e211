"""A child that works for its parent: `python -m factory.isolation.child PARENT_PID MEMORY_BYTES [MODULE...]`.

It imports the modules, reports that it is ready, and then answers one request after another: `(function, args)` by
`(True, result)` or `(False, error)`. It ends when its input ends, and is killed when its parent dies.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from factory.errors import FactoryError
from factory.isolation import frames

PR_SET_PDEATHSIG = 1  # linux/prctl.h
NICE = 5
"""Niceness: the parent's loop goes first if both want the same core."""
OOM_SCORE = "500"
"""The kernel's out-of-memory killer takes this process before one that holds jobs."""
READY = b"\x01"
OUT_OF_MEMORY = 70
"""Exit code of a child that needed more than its bound."""


def main() -> None:
    """Serves until the parent closes the pipe or dies."""
    parent_pid, memory_bytes, *modules = sys.argv[1:]
    die_with(int(parent_pid))
    be_modest(int(memory_bytes))
    requests, answers = take_pipes()
    for module in modules:
        importlib.import_module(module)
    answers.write(READY)
    answers.flush()
    try:
        serve(requests, answers)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # its parent tells of it; a traceback may not even fit


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answers one request after another until the input ends."""
    while header := requests.read(frames.HEADER.size):
        function, args = frames.unpack(requests.read(frames.length_of(header)))
        answers.write(answer(function, args))
        answers.flush()


def answer(function: Any, args: Any) -> bytes:
    """The frame that says how the call ended. Raises MemoryError: such a process is not used again."""
    try:
        return frames.pack((True, function(*args)))
    except FactoryError as error:
        return frames.pack((False, error))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a call may raise anything, and the parent decides what it means
        return frames.pack((False, traceback.format_exc()))


def die_with(parent_pid: int) -> None:
    """Has the kernel kill this process when the thread that started it ends (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent_pid:  # the parent died before the line above, so no signal will come
        os._exit(1)


def be_modest(memory_bytes: int) -> None:
    """Bounds the memory and CPU that this process takes from others. Signals to stop are ignored: the parent alone
    decides when it ends.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The parent's pipes, moved away from stdin and stdout, so that what a library prints is not taken for an answer."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


if __name__ == "__main__":
    main()
