"""`python -m benchmarks quick|full [--only NAME] [--write]`: one line a figure; exit 1 on a FAIL.

Each benchmark is a module with `figures(scale)`, which yields what it measured. The platform and its peers run in turn
on the same cores.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.report import write
from benchmarks.stand import FULL, QUICK

BENCHMARKS = (
    "call",
    "worker",
    "children",
    "durable",
    "gateway",
    "latency",
    "flatness",
    "claim",
    "scrape",
    "naming",
    "isolation",
    "scale",
    "start",
    "parts",
)
"""Modules of this package, in the order in which they run."""


def main() -> int:
    """Runs the benchmarks that are asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("mode", choices=("quick", "full"))
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="may be repeated")
    parser.add_argument(
        "--write", type=Path, help="directory of performance.md, for its table and plots"
    )
    options = parser.parse_args()
    scale = QUICK if options.mode == "quick" else FULL
    found: list[Figure] = []
    for name in options.only or BENCHMARKS:
        started = time.monotonic()
        for figure in importlib.import_module(f"benchmarks.{name}").figures(scale):
            found.append(figure)
            print(figure.line(), flush=True)
        print(f"# {name} took {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    if options.write:
        write(found, options.write, others_stay=bool(options.only))
    return 0 if all(figure.passed for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
