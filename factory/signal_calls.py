"""What a signal asks for is done outside of its handler.

Python runs a handler in the main thread, between any two of its steps: also where that thread holds the lock that
the handler would take, of an Event that it waits for or of a log file. It then waits for itself, for ever.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class SignalCalls:
    """Makes the calls that handlers ask for, in their order, on a thread of its own."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
        threading.Thread(target=self._run, name="signal-calls", daemon=True).start()

    def post(self, call: Callable[..., object], *args: object) -> None:
        """Has the call made soon. Safe in a handler: this queue alone may be interrupted by itself.

        https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put
        """
        self._calls.put(partial(call, *args))

    def _run(self) -> None:
        while True:
            self._calls.get()()


def on_stop(call: Callable[[], object]) -> None:
    """Has SIGTERM and SIGINT ask for the call, in the place of what they did. From the main thread only."""
    calls = SignalCalls()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: calls.post(call))
