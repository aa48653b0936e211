"""Workers that start with this directory on PYTHONPATH know the tests' kind of job; who commits for a family is slow.

Python imports a module of this name at its start. A slow commit is one that others meet in its middle.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from collections.abc import Sequence
from pathlib import Path

COMMIT_S = 0.2
"""Between the look at a family and its commit."""
WORKERS = {"workers.worker", "workers.quarantine"}


def _know_families() -> None:
    # Only here: others do not pay for LiteLLM.
    import factory.pipeline.finish
    from factory.store.database import Tx
    from factory.store.moves import Moved
    from tests import family

    family.add()
    look = factory.pipeline.finish._with_wake_ups

    def look_and_stay(tx: Tx, moved: Sequence[Moved]) -> Sequence[Moved]:
        found = look(tx, moved)
        if any(one.parent_id or one.state == "waiting" for one in moved):
            time.sleep(COMMIT_S)
        return found

    factory.pipeline.finish._with_wake_ups = look_and_stay


if WORKERS.intersection(sys.orig_argv):
    _know_families()
if "FAULTS_WITHOUT" in os.environ:
    runpy.run_path(str(Path(__file__).parents[2] / "controls" / "without" / "sitecustomize.py"))
