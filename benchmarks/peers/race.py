"""How a peer is measured: all its tasks are queued, then its worker starts on the measured core."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from benchmarks.peers.environment import ROOT
from benchmarks.stand import MEASURED_CORE, Stand

Done = Callable[[], int]
"""How many tasks have ended; cheap enough to ask twenty times a second."""


@contextmanager
def started(
    stand: Stand,
    command: Sequence[str],
    variables: Mapping[str, str],
    name: str,
    cores: Sequence[int] = (MEASURED_CORE,),
) -> Iterator[psutil.Process]:
    """A peer's program on these cores, until the block ends."""
    with (stand.directory / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, cores)), *command],
            env={**os.environ, **stand.variables, **variables},
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            yield psutil.Process(process.pid)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks, and after ten seconds does not ask: its tasks have all ended, and some hang on the way out."""
    family = tree(psutil.Process(process.pid))
    process.terminate()
    _, left = psutil.wait_procs(family, 10)
    for one in left:
        one.kill()
    process.wait(10)


@dataclass(frozen=True)
class Look:
    """A look at a run: of the worker and all its children."""

    at_s: float
    done: int
    cpu_s: float
    memory_mb: float


def looks_until(done: Done, jobs: int, look: Callable[[int], Look], pause_s: float) -> list[Look]:
    """One every `pause_s` until so many tasks have ended. Raises TimeoutError after five minutes."""
    looks: list[Look] = []
    deadline = time.monotonic() + 300
    while not looks or looks[-1].done < jobs:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{looks[-1].done} of {jobs} tasks ended in 300 s")
        looks.append(look(done()))
        time.sleep(pause_s)
    return looks


@dataclass(frozen=True)
class Middle:
    """The middle of a run: from the first tenth of its tasks to the ninth."""

    jobs_per_s: float
    cpu_ms_per_job: float


def middle_of(looks: Sequence[Look], jobs: int) -> Middle:
    """Between the first looks that saw a tenth and nine tenths of the tasks ended."""
    first = next(look for look in looks if look.done >= 0.1 * jobs)
    last = next(look for look in looks if look.done >= 0.9 * jobs)
    ended = last.done - first.done
    return Middle(ended / (last.at_s - first.at_s), 1000 * (last.cpu_s - first.cpu_s) / ended)


def tree(process: psutil.Process) -> list[psutil.Process]:
    """The process and all that it has started."""
    return [process, *process.children(recursive=True)]


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    """User and system time."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def pss_mb(processes: Sequence[psutil.Process]) -> float:
    """The proportional set size: a page that a fork still shares with its parent counts once."""
    return sum(process.memory_full_info().pss for process in processes) / 1e6
