"""Messages without acknowledgements.

A message is a hint, and a lost one goes out again. With acknowledgements, kombu's Redis transport would keep each
message in a second key, at the cost of two more round trips. So lanes are consumed with `no_ack`.
"""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request

from factory.redaction import Redactor
from workers.foreign_messages import ForeignMessage


class HintRequest(Request):  # type: ignore[misc]
    """A message that left the broker when it was delivered."""

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **{**options, "on_ack": _nothing, "on_reject": _nothing})
        self._check()
        # Everything that is needed has been copied; the message would use memory for as long as the job runs.
        self._message = None

    def send_event(self, type: str, **fields: Any) -> None:
        """Sends an event to Flower, without the secrets that an exception's text may hold."""
        redactor: Redactor | None = self.app.redactor
        if redactor and "exception" in fields:
            told = {name: fields[name] for name in ("exception", "traceback") if name in fields}
            fields |= {name: redactor.clean(str(text)) for name, text in told.items()}
        super().send_event(type, **fields)

    def _check(self) -> None:
        """Raises ForeignMessage for what would break later, when the message already counts as started."""
        if not (isinstance(self._args, list) and isinstance(self._kwargs, dict)):
            raise ForeignMessage("its arguments are not a list and an object")
        limits = self.time_limits
        if not (
            isinstance(limits, list | tuple)
            and len(limits) == 2
            and all(isinstance(limit, int | float | None) for limit in limits)
        ):
            raise ForeignMessage("its time limits are not two numbers")


def _nothing(*_: object) -> None:
    """Does nothing: the broker no longer has the message."""
