"""What a worker process needs to execute jobs."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from factory.kinds.means import open_means
from factory.llm.catalog import Catalog
from factory.pipeline.wakeup import WakeUpSender
from factory.services import Services

FENCED_LOOK_S = 0.1
OWNER, OPERATOR = "its owner", "an operator"
"""Who may cancel a job that runs."""


class Worker:
    """A process' connections and the jobs that it runs. Made and used on the loop that runs the jobs."""

    def __init__(
        self, services: Services, catalog: Catalog, worker_id: UUID, *, quarantine: bool = False
    ) -> None:
        self.id = worker_id
        self.quarantine = quarantine
        """Whether it runs a group of quarantined jobs and nothing else."""
        self.services = services
        self.loop = asyncio.get_running_loop()
        self.means = open_means(services, catalog, self.holds_leases)
        self.committer = self.means.committer
        self.wake_up = WakeUpSender(services.redis)
        self.draining = False
        self._leased_until = math.inf
        self._running: dict[UUID, asyncio.Task[object]] = {}
        self._unwanted: dict[UUID, str] = {}
        """Jobs that were cancelled while they ran, and by whom."""

    @contextmanager
    def holding(self, job_id: UUID) -> Iterator[bool]:
        """Registers the current task as the one that runs the job; False when another one does."""
        task = asyncio.current_task()
        if task is None or job_id in self._running:
            yield False
            return
        self._running[job_id] = task
        try:
            yield True
        finally:
            del self._running[job_id]
            if job_id in self._unwanted:
                del self._unwanted[job_id]
                task.uncancel()  # the cancellation was meant for the job alone

    def job_of(self, task: asyncio.Task[Any] | None) -> UUID | None:
        """The job that the task runs. Other threads may ask only while the loop is blocked."""
        return next((job_id for job_id, one in self._running.items() if one is task), None)

    @property
    def running(self) -> int:
        """How many jobs this process runs."""
        return len(self._running)

    def extend_leases(self, until: float) -> None:
        """From the heartbeat's thread: the leases hold until then, by this machine's monotonic clock."""
        self._leased_until = until

    def holds_leases(self) -> bool:
        """False once Postgres has not been reached for a whole lease: other workers may have the jobs by now.

        Calls under way go on and are recorded; no new one may be made.
        """
        return time.monotonic() < self._leased_until

    async def until_leased(self) -> bool:
        """True once the leases hold; False when the worker drains before.

        A hint that waits here keeps its slot. A worker that gave hints up at once would take one after another from
        workers that could run them.
        """
        while not self.holds_leases():
            if self.draining:
                return False
            await asyncio.sleep(FENCED_LOOK_S)
        return True

    def cancel(self, job_id: UUID, by: str = OWNER) -> None:
        """From any thread: somebody has cancelled the job. May be called again, to no effect."""
        self.loop.call_soon_threadsafe(partial(self._cancel, job_id, by))

    def _cancel(self, job_id: UUID, by: str) -> None:
        task = self._running.get(job_id)
        if task and job_id not in self._unwanted:
            self._unwanted[job_id] = by
            task.cancel()

    def cancelled_by(self, job_id: UUID) -> str | None:
        """Who cancelled the job, if it was one job that was cancelled."""
        return self._unwanted.get(job_id)

    async def close(self) -> None:
        """After the last job."""
        self.wake_up.stop()
        await self.means.close()
