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
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from factory.domain.message import Message, Params
    from factory.llm.endpoint import Request
    from factory.llm.provider import Wire

WORDS = "block the loop"
RELEASE = "unblocked"
WORKERS = {"workers.worker", "workers.quarantine"}


def _block() -> None:
    # Here: other programs need not load LiteLLM's translations.
    from factory.llm.template import Templates

    translate = Templates.request

    def request(
        self: Templates, wire: Wire, messages: Sequence[Message], params: Params, key: str | None
    ) -> Request:
        release = Path(os.environ["FACTORY_HOME"]) / RELEASE
        while any(WORDS in message.content for message in messages) and not release.exists():
            time.sleep(0.05)
        return translate(self, wire, messages, params, key)

    Templates.request = request  # type: ignore[method-assign]


if WORKERS.intersection(sys.orig_argv):
    _block()
if "FAULTS_WITHOUT" in os.environ:
    runpy.run_path(str(Path(__file__).parents[2] / "controls" / "without" / "sitecustomize.py"))
