"""JSON logs with the job's id, or short lines for a terminal."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

job_id: ContextVar[str | None] = ContextVar("job_id", default=None)
"""The job that the current task works on; every line logged meanwhile carries it."""


class _JobId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "job_id"):
            record.job_id = job_id.get()
        return True


def configure_logging(level: str, log_format: str, process: str) -> None:
    """One handler on stderr; `log_format` is json or text, `process` names who logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_JobId())
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
