"""Gunicorn's own messages: warnings and errors only, in the format of `factory.log`."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn.glogging import Logger


class ServerLog(Logger):  # type: ignore[misc]
    """Has no handlers of its own: messages go to the root logger's. Requests are logged by `api.access`."""

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn once in each process."""
        self.error_log.handlers[:] = []
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Does nothing: to look whether there is anything to do takes gunicorn 10 us."""
