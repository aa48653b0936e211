"""Gunicorn's own messages, in the lines of `factory.log` and only where something goes wrong."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn.glogging import Logger


class ServerLog(Logger):  # type: ignore[misc]
    """No handlers of its own: what it says goes to the root's. Requests are `api.access`'s."""

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn once in each process."""
        self.error_log.handlers[:] = []
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)
        self.access_log.disabled = True
