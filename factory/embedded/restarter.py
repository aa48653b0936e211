"""Starts an embedded server again when it ends by itself: killed, out of memory, crashed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from factory.errors import FactoryError

LOOK_S = 0.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0

log = logging.getLogger(__name__)


class Restartable(Protocol):
    """What the restarter needs of EmbeddedPostgres and EmbeddedValkey. The address stays the same after a restart."""

    @property
    def running(self) -> bool: ...

    def start(self) -> str: ...

    def stop(self) -> None: ...


class ServerRestarter:
    """A thread that restarts servers which end by themselves; stop it before you stop them."""

    def __init__(self, servers: Sequence[Restartable]) -> None:
        self._servers = servers
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server-restarter", daemon=True)

    def start(self) -> None:
        """Starts looking."""
        self._thread.start()

    def stop(self) -> None:
        """Returns when no restart is under way any more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopped.wait(LOOK_S):
            for server in self._servers:
                if not server.running:
                    pause_s = self._restart(server, pause_s)

    def _restart(self, server: Restartable, pause_s: float) -> float:
        """One try; gives the pause before the next one."""
        name = type(server).__name__
        log.warning("%s ended by itself, starting it again", name)
        try:
            server.stop()
            server.start()
        except FactoryError as error:
            log.error("%s does not start: %s", name, error)
            self._stopped.wait(pause_s)
            return min(LONGEST_PAUSE_S, pause_s * 2)
        return FIRST_PAUSE_S
