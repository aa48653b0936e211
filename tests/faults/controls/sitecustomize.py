"""Takes one guard away from every program that starts with this directory on PYTHONPATH.

Python imports a module of this name at its start. Production code has no switch for its guards: a
harness that cannot fail proves nothing, and a switch could be left on.
"""

from __future__ import annotations

import os

import factory.pipeline.rescue
import factory.store.hints


def _without_republish() -> None:
    factory.store.hints.LOST = (
        "UPDATE jobs SET published_at = NULL WHERE false AND %(first)s = %(longest)s"
    )


def _without_hold() -> None:
    factory.pipeline.rescue.Reaper._holds = lambda *_: False  # type: ignore[method-assign]


{"republish": _without_republish, "hold": _without_hold}[os.environ["FAULTS_WITHOUT"]]()
