"""A worker process: `python -m workers.worker --lanes all --slots 500`."""

from __future__ import annotations

import argparse
import logging
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from celery import signals

from factory.config import load_settings
from factory.domain.job import new_id
from factory.domain.lanes import group_of, parse_lanes
from factory.domain.slots import total
from factory.errors import FactoryError
from factory.llm.catalog import load_catalog
from factory.log import configure_logging
from factory.pipeline.run.worker import OPERATOR, Worker
from factory.pipeline.upkeep.startup import await_schema
from factory.redaction import Redactor
from factory.services import Services, connect
from factory.signal_calls import SignalCalls
from workers import revocation, tasks
from workers.alive import AliveFile, add_alive_option
from workers.app import WorkerApp, create_app_for
from workers.blockage import watch_loop
from workers.events import JobEvents
from workers.heartbeat import Heartbeat
from workers.local_peers import pid_namespace
from workers.preparation import prepare_calls
from workers.quarantine import Quarantine
from workers.watchdog import ConsumptionWatch

SPARE_FILES = 200
"""For connections to Postgres and Redis, logs and libraries."""

log = logging.getLogger("workers.worker")  # it runs as __main__


class WorkerProcess:
    """Connects Celery's life cycle with the pipeline's worker."""

    def __init__(
        self,
        services: Services,
        lanes: tuple[str, ...],
        slots: int,
        alive: AliveFile | None = None,
    ) -> None:
        self.services = services
        self.lanes = lanes
        self.slots = slots
        self.alive = alive
        self.id = new_id()
        self._worker: Worker | None = None
        self._quarantine: Quarantine | None = None
        self._heartbeat: Heartbeat | None = None
        self._redactor = Redactor(services.settings)
        self._events = JobEvents(self._redactor.clean)
        self._calls = SignalCalls()

    def worker(self) -> Worker:
        """The pipeline's worker; it lives as long as the pool's loop."""
        if self._worker is None:
            raise RuntimeError("the loop has not started")
        return self._worker

    def quarantine(self) -> Quarantine:
        """Runs the jobs whose workers died."""
        if self._quarantine is None:
            raise RuntimeError("the loop has not started")
        return self._quarantine

    def create_app(self) -> WorkerApp:
        """The Celery app with the task and this process' context on its loop."""
        settings = self.services.settings
        app = create_app_for(settings)
        app.redactor = self._redactor
        app.job_events = self._events
        app.drain_s = settings.drain_s
        tasks.register(app, self.worker, self.quarantine, self._events)
        revocation.register(self._revoke)
        app.loop_contexts.append(self._on_loop)
        signals.worker_ready.connect(self._events.attach, weak=False)
        signals.worker_shutting_down.connect(self._drain, weak=False)
        return app

    def _revoke(self, job_id: UUID) -> None:
        if self._worker:
            self._worker.cancel(job_id, OPERATOR)

    def _drain(self, **_details: object) -> None:
        """In a signal handler: it must take no lock."""
        if self._heartbeat:
            self._heartbeat.drain()
        if self._worker and self._worker.running:
            self._calls.post(
                log.warning, "stopping: waits for %d jobs to end", self._worker.running
            )

    @asynccontextmanager
    async def _on_loop(self) -> AsyncIterator[None]:
        settings = self.services.settings
        worker = self._worker = Worker(self.services, load_catalog(settings.extra_models), self.id)
        self._quarantine = Quarantine(worker, self._events)
        self._heartbeat = Heartbeat(self.services, worker, self.lanes, self.slots, pid_namespace())
        self._heartbeat.start()
        watch = ConsumptionWatch(self.services, worker, self.lanes, alive=self.alive)
        watch.start()
        loop_watch = watch_loop(worker)
        log.info("worker %s serves %d lanes with %d slots", self.id, len(self.lanes), self.slots)
        try:
            yield
        finally:
            watch.stop()
            await self._quarantine.close()
            await worker.close()
            loop_watch.stop()
            self._heartbeat.stop()


def raise_file_limit(calls: int) -> None:
    """Raises the soft limit of open files, often 1,024, to the hard one: each call in flight is an open file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < calls + SPARE_FILES:
        log.warning("only %d open files are allowed: too few for %d calls in flight", hard, calls)


def main() -> None:
    """Runs until SIGTERM; then finishes what it holds."""
    parser = argparse.ArgumentParser(prog="workers.worker", description=__doc__)
    parser.add_argument("--lanes", default="all", help="such as openai.*,*.high,webhook.normal")
    parser.add_argument(
        "--slots", type=int, default=None, help="jobs in flight that all lanes share"
    )
    parser.add_argument("--events", action="store_true", help="feed Flower")
    add_alive_option(parser)
    options = parser.parse_args()
    try:
        settings = load_settings()
        lanes = parse_lanes(options.lanes)
    except FactoryError as error:
        parser.error(error.message)
    configure_logging(settings, "worker")
    prepare_calls(settings, lanes)
    services = connect(settings, "worker")
    await_schema(services)
    alive = AliveFile(options.alive_file)
    process = WorkerProcess(services, lanes, options.slots or settings.worker_slots, alive)
    raise_file_limit(total(process.slots, len({group_of(lane) for lane in lanes})))
    hostname = f"worker-{os.getpid()}@{socket.gethostname()}"
    process.create_app().run_worker(lanes, process.slots, events=options.events, hostname=hostname)


if __name__ == "__main__":
    main()
