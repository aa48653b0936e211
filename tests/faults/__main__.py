"""`python -m tests.faults quick|full [--only NAME] [--seed N] [--json]`: one line a fault, exit 1 on a FAIL.

quick: about 500 jobs and every fault once, in some minutes. full: 10,000 jobs and more than 300 kills.
The platform is `factory up` with two workers, two dispatchers and two gateway processes; its leases,
heartbeats and ticks are those of production. A fault's jobs are submitted while it strikes.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.acceptance.stack import Stack, eventually, running_stack
from tests.faults.client import Accepted, CarefulClient
from tests.faults.faults import FAULTS, MANY, Fault, Scene
from tests.faults.judge import Verdict, judge

OPTIONS = ("--workers", "2", "--dispatchers", "2", "--no-flower")
QUICK_JOBS, FULL_JOBS = 40, 770
SUBMITTERS = 4
ENDS_S = 120.0


def run_fault(
    stack: Stack,
    name: str,
    fault: Fault,
    jobs: int,
    dice: random.Random,
    ends_s: float = ENDS_S,
) -> Verdict:
    """Submits the jobs, breaks things meanwhile, waits for every end, and judges."""
    eventually(lambda: len(stack.workers()) == 2, ENDS_S)
    scene = Scene(stack, dice)
    client = CarefulClient(stack, stack.home / "accepted.jsonl")
    accepted: list[Accepted] = []
    threads = [
        threading.Thread(target=_submit, args=(client, fault, share, scene, accepted))
        for share in _latencies(fault, jobs, dice)
    ]
    for thread in threads:
        thread.start()
    fault.strike(scene)
    for thread in threads:
        thread.join()
    _await_ends(stack, accepted, ends_s)
    note = f"{client.failed_requests} requests tried again" if client.failed_requests else ""
    return judge(stack, name, accepted, scene.faults, fault.expected, note)


def _latencies(fault: Fault, jobs: int, dice: random.Random) -> list[list[float]]:
    """Each submitter's jobs, as the provider's latencies in seconds."""
    all_s = [round(dice.uniform(*fault.latency_s), 2) for _ in range(int(jobs * fault.share))]
    return [all_s[n::SUBMITTERS] for n in range(SUBMITTERS)]


def _submit(
    client: CarefulClient,
    fault: Fault,
    latencies_s: Sequence[float],
    scene: Scene,
    accepted: list[Accepted],
) -> None:
    for latency_s in latencies_s:
        text = f"{{{{simulate latency_ms={int(latency_s * 1000)}}}}} Why?"
        one = client.submit(text, latency_s, priority=fault.priority, max_attempts=20)
        accepted.append(one)
        scene.job_ids.append(one.job_id)
        time.sleep(0.2)  # the pace of the arrivals


def _await_ends(stack: Stack, accepted: Sequence[Accepted], ends_s: float) -> None:
    """Until every job has ended or the time is over; the judge then sees which have not."""
    deadline = time.monotonic() + ends_s
    for one in accepted:
        while not stack.job(one.job_id)["finished_at"] and time.monotonic() < deadline:
            time.sleep(0.1)


def main() -> int:
    """Prints a line a fault."""
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("mode", choices=("quick", "full"))
    parser.add_argument("--only", action="append", choices=sorted(FAULTS), help="may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    verdicts = []
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as directory,
        running_stack(Path(directory), *OPTIONS) as stack,
    ):
        for name in options.only or FAULTS:
            fault, jobs = FAULTS[name], QUICK_JOBS
            if options.mode == "full":
                fault = Fault(**{**vars(fault), "strike": MANY.get(name, fault.strike)})
                jobs = FULL_JOBS
            dice = random.Random(f"{options.seed} {name}")
            verdict = run_fault(stack, name, fault, jobs, dice)
            verdicts.append(verdict)
            shown = json.dumps({**asdict(verdict), "passed": verdict.passed})
            print(shown if options.json else verdict.line(), flush=True)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
