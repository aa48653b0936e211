"""A bug that nobody knows of yet: in a worker that starts with this directory on PYTHONPATH, a message with certain
words blocks the loop.

Python imports a module of this name at its start. It ends when a file says so: a platform without its guards
could not be stopped otherwise.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from pathlib import Path

import factory.domain.message

WORDS = "block the loop"
RELEASE = "unblocked"
WORKERS = {"workers.worker", "workers.quarantine"}


def _block() -> None:
    say = factory.domain.message.Message.as_dict

    def as_dict(message: factory.domain.message.Message) -> dict[str, str]:
        release = Path(os.environ["FACTORY_HOME"]) / RELEASE
        while WORDS in message.content and not release.exists():
            time.sleep(0.05)
        return say(message)

    factory.domain.message.Message.as_dict = as_dict  # type: ignore[method-assign]


if WORKERS.intersection(sys.orig_argv):
    _block()
if "FAULTS_WITHOUT" in os.environ:
    runpy.run_path(str(Path(__file__).parents[2] / "controls" / "without" / "sitecustomize.py"))
