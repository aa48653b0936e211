"""`python -m deploy.docs [reference | links | names | check | build | run]`: without arguments all but `reference`.

`reference` writes the pages that are made of the code. `links` looks where links and paths lead. `names` looks
whether there are the commands, options and variables that pages name. `check` reads every code block by its own
language's tool. `build` makes the site in `site/`, and fails on a link that leads nowhere. `run`
starts a platform of its own and runs the blocks that are marked runnable, page by page.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.docs import blocks, check, links, names, reference, run, site
from deploy.validate.tools import Invalid, Tools, Unavailable

ROOT = Path(__file__).resolve().parents[2]
STEPS: dict[str, Callable[[Tools], str]] = {
    "links": lambda tools: links.check_links(tools.root),
    "names": lambda tools: names.check_names(tools.root),
    "check": lambda tools: check.check_blocks(tools, blocks.all_blocks(tools.root)),
    "build": lambda tools: site.build(tools, tools.root, tools.root / "site"),
    "run": lambda tools: run.run_pages(blocks.all_blocks(tools.root)),
}


def main(arguments: Sequence[str]) -> int:
    """Prints `docs STEP ok`, `docs STEP skipped: why` or `docs STEP FAILED` a line."""
    parser = argparse.ArgumentParser(prog="docs", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"reference, {', '.join(STEPS)}")
    steps = parser.parse_args(arguments).steps
    if unknown := sorted(set(steps) - {*STEPS, "reference"}):
        parser.error(f"there is no step {', '.join(unknown)}")
    if "reference" in steps:
        reference.write(ROOT)
        return 0
    tools = Tools(ROOT)
    results = [_step(name, tools) for name in steps or STEPS]
    return 0 if all(results) else 1


def _step(name: str, tools: Tools) -> bool:
    started = time.monotonic()
    try:
        found = STEPS[name](tools)
    except Unavailable as reason:
        print(f"docs {name} skipped: {reason}", flush=True)
        return True
    except Invalid as error:
        print(f"docs {name} FAILED\n{error}", flush=True)
        return False
    print(f"docs {name} ok ({time.monotonic() - started:.0f} s) {found}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
