"""Counts requests, and writes the counts to Postgres where the exporter reads them."""

from __future__ import annotations

import logging
import threading

from factory.errors import Unavailable
from factory.metrics import HTTP_REQUESTS, Tally, delta
from factory.store import counters
from factory.store.database import Database

FLUSH_S = 2.0

log = logging.getLogger(__name__)


class Meter:
    """A tally of requests and the thread that writes it. The thread starts with the first request."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tally = Tally()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        self._started = threading.Lock()

    def count(self, method: str, route: str, status: int) -> None:
        """Counts one request under its route's template: a raw path would be a label for every job."""
        self._tally.add(delta(HTTP_REQUESTS, method=method, route=route, status=str(status)))
        if not self._thread.is_alive() and self._started.acquire(blocking=False):
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread and writes what is left."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(FLUSH_S)
        self._flush()

    def _run(self) -> None:
        while not self._stopped.wait(FLUSH_S):
            self._flush()

    def _flush(self) -> None:
        taken = self._tally.take()
        if not taken:
            return
        try:
            with self._database.transaction() as tx:
                counters.add(tx, taken)
        except Unavailable as error:
            log.warning("request counts are written later: %s", error)
            for one in taken:
                self._tally.add(one)
