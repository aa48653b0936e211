"""`python -m deploy.validate [NAME …]`: checks all artefacts, or those named.

Prints a line each: `validate NAME ok`, `validate NAME skipped: why` or `validate NAME FAILED`, with what the
tool said below. Exits 1 if one fails, 2 for a name that there is not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from deploy.validate import checks
from deploy.validate.tools import Invalid, Tools, Unavailable

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str]) -> int:
    """Runs the checks in order of name."""
    known = sorted(one.name for one in iter_modules(checks.__path__))
    parser = argparse.ArgumentParser(prog="validate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}")
    names = parser.parse_args(arguments).names
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"there is no check {', '.join(unknown)}; there are {', '.join(known)}")
    tools = Tools(ROOT)
    results = [_check(name, tools) for name in names or known]
    return 0 if all(results) else 1


def _check(name: str, tools: Tools) -> bool:
    """Whether the artefact is valid, or could not be checked here."""
    started = time.monotonic()
    try:
        import_module(f"{checks.__name__}.{name}").check(tools)
    except Unavailable as reason:
        _say(f"validate {name} skipped: {reason}")
        return True
    except Invalid as error:
        _say(f"validate {name} FAILED\n{error}")
        return False
    _say(f"validate {name} ok ({time.monotonic() - started:.0f} s)")
    return True


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
