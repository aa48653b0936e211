"""`python -m tests.faults.controls`: one line a control; exit 1 unless every missing guard is noticed."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.stack import running_stack
from tests.faults.__main__ import OPTIONS, QUICK_JOBS, run_fault
from tests.faults.faults import FAULTS
from tests.faults.judge import Verdict

GIVES_UP_S = 45.0
"""Twice what the guarded platform needs for the same fault."""


@dataclass(frozen=True)
class Control:
    """A guard that is missing, the fault that needs it, and how that shows."""

    fault: str
    expected: str
    caught: Callable[[Verdict], bool]


CONTROLS: Mapping[str, Control] = {
    "republish": Control("lost_hints", "lost", lambda verdict: verdict.lost > 0),
    "hold": Control("postgres_stop", "mistaken", lambda verdict: verdict.mistaken > 0),
}


@contextmanager
def without(guard: str) -> Iterator[None]:
    """What starts meanwhile lacks the guard."""
    changed = {"FAULTS_WITHOUT": guard, "PYTHONPATH": str(Path(__file__).parent)}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def run_control(guard: str, control: Control) -> bool:
    """Whether the harness notices; prints the line."""
    with (
        tempfile.TemporaryDirectory(prefix="controls-") as directory,
        without(guard),
        running_stack(Path(directory), *OPTIONS) as stack,
    ):
        dice = random.Random(f"1 {control.fault}")
        fault = FAULTS[control.fault]
        verdict = run_fault(stack, control.fault, fault, QUICK_JOBS, dice, GIVES_UP_S)
    caught = control.caught(verdict)
    got = f"{control.expected}={getattr(verdict, control.expected)}"
    print(
        f"control without_{guard} fault={control.fault} expected={control.expected}>0 got={got} "
        f"{'CAUGHT' if caught else 'MISSED'}",
        flush=True,
    )
    return caught


def main() -> int:
    """Runs every control."""
    caught = [run_control(guard, control) for guard, control in CONTROLS.items()]
    return 0 if all(caught) else 1


if __name__ == "__main__":
    sys.exit(main())
