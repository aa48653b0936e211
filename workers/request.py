"""Messages without acknowledgements.

A message is a hint, and a lost one goes out again. Kombu's Redis transport keeps each message in a
second key until it is acknowledged, which costs two round trips more than the one that fetches it. So
lanes are consumed with `no_ack`, and a request has nothing to tell the broker.
"""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request

from factory.redaction import Redactor
from workers.foreign_messages import ForeignMessage


class HintRequest(Request):  # type: ignore[misc]
    """A message that was forgotten by the broker when it was handed over."""

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **{**options, "on_ack": _nothing, "on_reject": _nothing})
        self._check()
        # All that is needed of it is copied by now; the rest would stay for as long as the job runs.
        self._message = None

    def send_event(self, type: str, **fields: Any) -> None:
        """Tells Flower; what an exception says goes without secrets."""
        redactor: Redactor | None = self.app.redactor
        if redactor and "exception" in fields:
            told = {name: fields[name] for name in ("exception", "traceback") if name in fields}
            fields |= {name: redactor.clean(str(text)) for name, text in told.items()}
        super().send_event(type, **fields)

    def _check(self) -> None:
        """Here nothing counts the message yet. Raises ForeignMessage for what would break in the midst of its start."""
        if not (isinstance(self._args, list) and isinstance(self._kwargs, dict)):
            raise ForeignMessage("its arguments are no list and no object")
        limits = self.time_limits
        if not (
            isinstance(limits, list | tuple)
            and len(limits) == 2
            and all(isinstance(limit, int | float | None) for limit in limits)
        ):
            raise ForeignMessage("its time limits are no two numbers")


def _nothing(*_: object) -> None:
    """The broker has no message to take back or to forget."""
