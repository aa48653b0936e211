"""`python -m tests.faults quick|full [--only NAME] [--seed N] [--json]`: one line a fault, exit 1 on a FAIL.

quick: about 500 jobs and every fault, in some minutes. full: 10,000 jobs and more than 300 kills.
Each stack is a `factory up` with two workers, two dispatchers and two gateway processes; the leases,
heartbeats and ticks are those of production. A fault's jobs are submitted while it strikes.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from tests.acceptance.stack import Stack, running_stack
from tests.faults.catalog import FAULTS, MANY
from tests.faults.judge import Verdict
from tests.faults.progress import Progress
from tests.faults.runner import OPTIONS, Arrivals, run_fault
from tests.faults.scene import Fault, Scene

QUICK = Arrivals(jobs=20, every_s=0.1, then_every_s=1.0)
FULL = Arrivals(jobs=150, every_s=0.1, then_every_s=0.2)


def main() -> int:
    """Prints a line a fault."""
    options = _options()
    names = options.only or list(FAULTS)
    progress = Progress(len(names))
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        todo.put(name)
    stacks = min(options.stacks, len(names))
    with ThreadPoolExecutor(stacks) as hands:
        runs = [hands.submit(_work_off, todo, options, progress) for _ in range(stacks)]
        verdicts = [verdict for run in runs for verdict in run.result()]
    progress.close()
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("mode", choices=("quick", "full"))
    parser.add_argument("--only", action="append", choices=sorted(FAULTS), help="may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stacks", type=int, default=2, help="platforms beside each other")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _work_off(
    todo: queue.SimpleQueue[str], options: argparse.Namespace, progress: Progress
) -> list[Verdict]:
    """Takes faults until none is left, all on one stack, but those that need one of their own."""
    verdicts = []
    with ExitStack() as kept:
        stack: Stack | None = None
        while not todo.empty():
            try:
                name = todo.get_nowait()
            except queue.Empty:
                break
            progress.begin(name)
            fault = FAULTS[name]
            if options.mode == "full":
                fault = replace(fault, strike=MANY.get(name, fault.strike))
            if fault.own_stack:
                verdict = _on_own_stack(name, fault, options)
            else:
                stack = stack or kept.enter_context(_fresh_stack())
                verdict = _run(stack, name, fault, options)
            verdicts.append(verdict)
            shown = json.dumps({**asdict(verdict), "passed": verdict.passed})
            progress.end(name, shown if options.json else verdict.line())
    return verdicts


@contextmanager
def _fresh_stack() -> Iterator[Stack]:
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as directory,
        running_stack(Path(directory), *OPTIONS) as stack,
    ):
        yield stack


def _on_own_stack(name: str, fault: Fault, options: argparse.Namespace) -> Verdict:
    with _fresh_stack() as stack:
        return _run(stack, name, fault, options)


def _run(stack: Stack, name: str, fault: Fault, options: argparse.Namespace) -> Verdict:
    scene = Scene(stack, random.Random(f"{options.seed} {name}"))
    return run_fault(stack, name, fault, QUICK if options.mode == "quick" else FULL, scene)


if __name__ == "__main__":
    sys.exit(main())
