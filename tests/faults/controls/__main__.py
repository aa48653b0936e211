"""`python -m tests.faults.controls [NAME …]`: one line a control; exit 1 unless each is noticed.

A control is the harness against something that must fail: the platform without one of its guards, or a
plain Celery application that does the obvious thing.
"""

from __future__ import annotations

import argparse
import sys

from tests.faults.controls.guards import WITHOUT_GUARD
from tests.faults.controls.plain_celery import PLAIN_CELERY

CONTROLS = {**WITHOUT_GUARD, **PLAIN_CELERY}


def main() -> int:
    """Runs every control, or those that are named."""
    parser = argparse.ArgumentParser(prog="tests.faults.controls", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(CONTROLS)}")
    names = parser.parse_args().names or list(CONTROLS)
    caught = []
    for name in names:
        expected, verdict = CONTROLS[name]()
        got = len(verdict.complaints) if expected == "complaints" else getattr(verdict, expected)
        # What a death excuses is no failure.
        caught.append(got > (verdict.bound if expected == "repeats" else 0))
        print(
            f"control {name} fault={verdict.name} jobs={verdict.jobs} expected={expected} "
            f"got={expected}={got} {'CAUGHT' if caught[-1] else f'MISSED {verdict.complaints}'}",
            flush=True,
        )
    return 0 if all(caught) else 1


if __name__ == "__main__":
    sys.exit(main())
