"""`python -m tests.faults quick|full [--only NAME] [--seed N] [--json]`: one line a fault, exit 1 on a FAIL.

quick: every fault, more than 500 jobs in all, in some 6 minutes. full: more strikes, and 10,000 jobs; what is upgraded
has a million jobs already.
Each stack is a `factory up` with two workers, two dispatchers and two gateway processes; the leases,
heartbeats and ticks are those of production. A fault's jobs are submitted while it strikes.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict

from tests.acceptance.stack import Stack
from tests.faults.catalog import FAULTS, MANY, PAST_JOBS
from tests.faults.judge import Verdict, skipped
from tests.faults.progress import Progress
from tests.faults.runner import FULL, QUICK, fresh_stack, run_fault
from tests.faults.scene import Fault, Scene


def main() -> int:
    """Prints a line a fault, and how to see a failure again."""
    options = _options()
    names = options.only or list(FAULTS)
    progress = Progress(len(names))
    alone = [name for name in names if _fault(name, options.mode).alone]
    others = [name for name in names if name not in alone]
    verdicts = _run_all(alone, 1, options, progress)
    verdicts += _run_all(others, options.stacks, options, progress)
    progress.close()
    failed = [verdict.name for verdict in verdicts if not verdict.passed]
    for name in failed:
        again = f"python -m tests.faults {options.mode} --only {name} --seed {options.seed}"
        print(f"to see it again: {again}", file=sys.stderr)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("mode", choices=("quick", "full"))
    parser.add_argument("--only", action="append", choices=sorted(FAULTS), help="may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stacks", type=int, default=3, help="platforms beside each other")
    parser.add_argument("--past", type=int, help="jobs that the fault `upgrade` finds in Postgres")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _run_all(
    names: Sequence[str], stacks: int, options: argparse.Namespace, progress: Progress
) -> list[Verdict]:
    """On at most so many stacks beside each other."""
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        todo.put(name)
    with ThreadPoolExecutor(stacks) as hands:
        runs = [hands.submit(_work_off, todo, options, progress) for _ in range(stacks)]
        return [verdict for run in runs for verdict in run.result()]


def _work_off(
    todo: queue.SimpleQueue[str], options: argparse.Namespace, progress: Progress
) -> list[Verdict]:
    """Takes faults until none is left, all on one stack, but those that need one of their own."""
    verdicts = []
    with ExitStack() as kept:
        stack: Stack | None = None
        for name in _taken(todo):
            progress.begin(name)
            fault = _fault(name, options.mode)
            if reason := fault.impossible():
                verdict = skipped(name, reason)
            elif fault.ground or fault.variables:
                # In a thread of its own: what it mounts is seen by nobody else.
                with ThreadPoolExecutor(1) as hand:
                    verdict = hand.submit(_on_own_stack, name, fault, options).result()
            else:
                stack = stack or kept.enter_context(fresh_stack())
                verdict = _run(stack, name, fault, options)
            verdicts.append(verdict)
            shown = json.dumps({**asdict(verdict), "passed": verdict.passed})
            progress.end(name, shown if options.json else verdict.line())
    return verdicts


def _taken(todo: queue.SimpleQueue[str]) -> Iterator[str]:
    with suppress(queue.Empty):
        while True:
            yield todo.get_nowait()


def _fault(name: str, mode: str) -> Fault:
    return MANY.get(name, FAULTS[name]) if mode == "full" else FAULTS[name]


def _on_own_stack(name: str, fault: Fault, options: argparse.Namespace) -> Verdict:
    with fresh_stack(fault) as stack:
        return _run(stack, name, fault, options)


def _run(stack: Stack, name: str, fault: Fault, options: argparse.Namespace) -> Verdict:
    past_jobs = PAST_JOBS[options.mode] if options.past is None else options.past
    scene = Scene(stack, random.Random(f"{options.seed} {name}"), past_jobs=past_jobs)
    return run_fault(stack, name, fault, QUICK if options.mode == "quick" else FULL, scene)


if __name__ == "__main__":
    sys.exit(main())
