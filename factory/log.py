"""JSON logs with the job's id, or short lines for a terminal."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from factory.config import Settings
from factory.config.load import USAGE
from factory.log_file import LogFile
from factory.redaction import Redactor

job_id: ContextVar[str | None] = ContextVar("job_id", default=None)
"""The job that the current task works on; every line logged meanwhile carries it."""


LONGEST_MESSAGE = 300
CHATTY = ("celery", "kombu", "gunicorn", "tornado", "asyncio", "alembic", "LiteLLM", "httpx")
"""Libraries that tell of each start, message or request; what goes wrong in them is logged."""


class _OneLine(logging.Filter):
    """A warning is one short line. Libraries write paragraphs: redis-py tells of a missing master with all
    that it knows about each Sentinel's connections, and Celery repeats that every second.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            # Before it is cut: half a secret would not be known again.
            message = self._redactor.clean(" ".join(record.getMessage().split()))
            if len(message) > LONGEST_MESSAGE:
                message = message[:LONGEST_MESSAGE] + "…"
            record.msg, record.args = message, None
        return True


class _JobId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "job_id"):
            record.job_id = job_id.get()
        return True


class _TextFormatter(logging.Formatter):
    """A line for a terminal, with the job that it is about."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        found = getattr(record, "job_id", None)
        return f"{line} [{found}]" if found else line


class _Handler(logging.StreamHandler[Any]):
    """Lines without secrets, whoever wrote them: what libraries say, and tracebacks, pass here too."""

    def __init__(self, redactor: Redactor, stream: LogFile | None) -> None:
        super().__init__(stream)
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.clean(super().format(record))


def open_log(settings: Settings, process: str) -> LogFile | None:
    """The program's file in LOG_DIR; None for stderr. Ends a program that cannot write there."""
    if settings.log_dir is None:
        return None
    path = Path(settings.log_dir) / f"{process}.log"
    try:
        return LogFile(path)
    except OSError as error:
        sys.stderr.write(f"{process}: LOG_DIR: {path}: {error.strerror}\n")
        sys.exit(USAGE)


def configure_logging(settings: Settings, process: str) -> None:
    """One handler, for lines of JSON or text; `process` names who logs."""
    redactor = Redactor(settings)
    handler = _Handler(redactor, open_log(settings, process))
    handler.addFilter(_JobId())
    handler.addFilter(_OneLine(redactor))
    if settings.log_format == "json":
        handler.setFormatter(
            JsonFormatter(
                "%(asctime)s %(levelname)s %(name)s %(message)s %(job_id)s",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
                static_fields={"process": process},
            )
        )
    else:
        handler.setFormatter(_TextFormatter("%(levelname)s %(name)s %(message)s"))
    logging.captureWarnings(True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    # gunicorn has handlers of its own, and quotes the headers that it refuses.
    for other in logging.getLogger("gunicorn.error").handlers:
        other.addFilter(_OneLine(redactor))
