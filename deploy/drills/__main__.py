"""`python -m deploy.drills [--quick] [NAME …]`: all drills, or those named.

Prints a line each: `drill NAME rto_s=… rpo_s=… lost=N bound=N of=N PASS`, or FAIL, or `skipped: why`. Exits 1 if one
fails, 2 for a name that there is not.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from pkgutil import iter_modules

from deploy.drills import scenarios
from deploy.drills.sequence import CurrentGround, Drill, in_order
from deploy.validate.tools import Tools, Unavailable

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str]) -> int:
    """Runs the drills one after another: each is timed."""
    known = sorted(one.name for one in iter_modules(scenarios.__path__))
    parser = argparse.ArgumentParser(prog="drills", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="less load and shorter: for CI")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"there is no drill {', '.join(unknown)}; there are {', '.join(known)}")
    names = set(options.names or known)
    drills = in_order(Drill.of(scenarios.__name__, name) for name in names)
    ground = CurrentGround(Tools(ROOT), quick=options.quick)
    try:
        results = [_run(drill, ground) for drill in drills]
    finally:
        ground.leave()
    return 0 if all(results) else 1


def _run(drill: Drill, ground: CurrentGround) -> bool:
    """Whether the drill passed, or cannot be done here. Where one fails, no other takes place; its files are kept."""
    try:
        outcome = ground.perform(drill)
    except Unavailable as reason:
        _say(f"drill {drill.name} skipped: {reason}")
        return True
    except Exception:  # noqa: BLE001 - one failed drill must not keep the others from running
        _say(f"drill {drill.name} FAIL\n{traceback.format_exc()}")
        _say(f"files: {ground.leave(keep_files=True)}")
        return False
    _say(outcome.line(drill.name))
    if not outcome.passed:
        _say(f"files: {ground.leave(keep_files=True)}")
    elif drill.spent:
        ground.leave()
    return outcome.passed


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
