"""The worker's heartbeat, from a thread of its own: a busy loop must not look like a dead worker."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence

from factory.domain.principal import PLATFORM
from factory.errors import Unavailable
from factory.pipeline.run.worker import Worker
from factory.pipeline.upkeep.periodic import PeriodicTask
from factory.pipeline.upkeep.reaper import mark_dead
from factory.services import Services
from factory.store import leases
from factory.store.database import Tx
from workers.local_peers import is_gone

CANCEL_POLL_S = 1.0
"""A beat also reads which jobs were cancelled, so it is more frequent than leases need."""
ANSWER_S = 3.0
"""A beat without an answer is repeated after this time, on another connection, before the lease is over."""

log = logging.getLogger(__name__)


class Heartbeat:
    """Beats until it is stopped. Each beat cancels jobs that their owners have cancelled, and marks dead local peers."""

    def __init__(
        self,
        services: Services,
        worker: Worker,
        lanes: Sequence[str],
        slots: int,
        pid_namespace: str | None = None,
    ) -> None:
        self._services = services
        self._worker = worker
        self._lanes = lanes
        self._slots = slots
        self._pid_namespace = pid_namespace
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Registers the worker and starts to beat. Raises Unavailable."""
        began = time.monotonic()
        with self._services.database.transaction(PLATFORM) as tx:
            self._register(tx)
        self._extend_leases(began)
        self._thread.start()

    def drain(self) -> None:
        """The worker takes no new jobs. The next beat tells Postgres."""
        self._worker.draining = True

    def stop(self) -> None:
        """Ends the thread, and records that the worker has ended in order."""
        self._stopped.set()
        self._thread.join(5.0)
        try:
            with self._services.database.transaction(PLATFORM) as tx:
                leases.stop(tx, self._worker.id)
        except Unavailable as error:
            log.warning("could not sign off, the lease will expire: %s", error)

    def _run(self) -> None:
        task = PeriodicTask("the heartbeat", self._beat, longest_pause_s=CANCEL_POLL_S)
        pause_s = CANCEL_POLL_S
        while not self._stopped.wait(pause_s):
            pause_s = task.run()

    def _beat(self) -> float:
        began = time.monotonic()
        with self._services.database.transaction(PLATFORM, ANSWER_S) as tx:
            beat = leases.heartbeat(tx, self._worker.id)
            if not beat.known:
                # The machine slept for days, and the worker was deleted meanwhile.
                self._register(tx)
            if self._worker.draining:
                leases.drain(tx, self._worker.id)
            dead = [one for one, pid in beat.local_peers.items() if is_gone(pid)]
            if dead:
                mark_dead(tx, dead)
        self._extend_leases(began)
        for worker_id in dead:
            log.warning("the process of worker %s is gone: its jobs go on elsewhere", worker_id)
        for job_id in beat.unwanted:
            self._worker.cancel(job_id)
        return CANCEL_POLL_S

    def _extend_leases(self, began: float) -> None:
        """Counts from before the beat: in Postgres the lease starts no earlier."""
        self._worker.extend_leases(began + self._services.settings.lease_s)

    def _register(self, tx: Tx) -> None:
        leases.register(
            tx,
            self._worker.id,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            lanes=self._lanes,
            slots=self._slots,
            pid_namespace=self._pid_namespace,
        )
