"""The connections that the loop watches, because no thread works for them."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from api.connection import Connection, Phase

MOST_HELD_BYTES = 128 * 1024 * 1024
"""What all unfinished requests of one process may hold together."""


class Watch:
    """Connections by phase, oldest first, and their timeouts."""

    def __init__(self, poller: selectors.BaseSelector) -> None:
        self._poller = poller
        self._by_phase: dict[Phase, dict[Connection, None]] = {phase: {} for phase in Phase}
        self._held_bytes = 0

    def begin(
        self, conn: Connection, phase: Phase, timeout_s: float, on_bytes: Callable[[object], None]
    ) -> None:
        """Has `on_bytes` called whenever the client sends. Any thread may do this."""
        # Before it is registered: from then on the loop may end it at any time.
        self.enter(conn, phase, timeout_s)
        with suppress(ValueError):  # it was closed to make room
            self._poller.register(conn.sock, selectors.EVENT_READ, on_bytes)

    def enter(self, conn: Connection, phase: Phase, timeout_s: float) -> None:
        """The connection is in this phase now, for so long."""
        if conn.phase:
            del self._by_phase[conn.phase][conn]
        conn.phase = phase
        conn.until = time.monotonic() + timeout_s
        self._by_phase[phase][conn] = None

    def end(self, conn: Connection) -> None:
        """The loop no longer watches the connection."""
        if conn.phase is None:
            return
        del self._by_phase[conn.phase][conn]
        conn.phase = None
        self._held_bytes -= conn.held
        conn.held = 0
        with suppress(OSError, KeyError, ValueError):
            self._poller.unregister(conn.sock)

    def count(self, conn: Connection) -> None:
        """Counts what the connection holds of an unfinished request."""
        self._held_bytes += len(conn.incoming) - conn.held
        conn.held = len(conn.incoming)

    def too_much(self) -> Connection | None:
        """The connection with the oldest unfinished body, if all together hold too many bytes."""
        if self._held_bytes <= MOST_HELD_BYTES:
            return None
        return next(iter(self._oldest(Phase.BODY)), None)

    def _oldest(self, phase: Phase) -> list[Connection]:
        return list(islice(self._by_phase[phase], 1))

    def least(self) -> Connection | None:
        """The oldest of the least important ones; None if threads work for all."""
        return next((conn for phase in Phase for conn in self._oldest(phase)), None)

    def overdue(self) -> list[Connection]:
        """Connections whose timeout has passed."""
        now = time.monotonic()
        return [one for one in self.all() if one.until < now]

    def all(self) -> list[Connection]:
        """Every one."""
        # Threads add to these meanwhile; `list` copies in one step.
        return [one for phase in self._by_phase.values() for one in list(phase)]

    def cap(self, deadline: float) -> None:
        """Has connections that send nothing end by `deadline`."""
        for phase in (Phase.FRESH, Phase.IDLE):
            for conn in list(self._by_phase[phase]):
                conn.until = min(conn.until, deadline)
