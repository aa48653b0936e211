"""JSON logs with the job's id, or short lines for a terminal."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

job_id: ContextVar[str | None] = ContextVar("job_id", default=None)
"""The job that the current task works on; every line logged meanwhile carries it."""


LONGEST_MESSAGE = 300


class _OneLine(logging.Filter):
    """A warning is one short line. Libraries write paragraphs: redis-py tells of a missing master with all
    that it knows about each Sentinel's connections, and Celery repeats that every second.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            message = " ".join(record.getMessage().split())
            if len(message) > LONGEST_MESSAGE:
                message = message[:LONGEST_MESSAGE] + "…"
            record.msg, record.args = message, None
        return True


class _JobId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "job_id"):
            record.job_id = job_id.get()
        return True


def configure_logging(level: str, log_format: str, process: str) -> None:
    """One handler on stderr; `log_format` is json or text, `process` names who logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_JobId())
    handler.addFilter(_OneLine())
    if log_format == "json":
        handler.setFormatter(
            JsonFormatter(
                "%(asctime)s %(levelname)s %(name)s %(message)s %(job_id)s",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
                static_fields={"process": process},
            )
        )
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
