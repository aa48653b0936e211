"""A worker with tasks that write down what happens to them, one JSON line each.

Run as `python worker_main.py <redis url> <journal> <client name> <lane> <slots> [events] [broken] [drains] [patient] [impatient|hasty]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import worker_ready
from celery.worker.request import Request

from factory.config import Settings
from factory.log import configure_logging
from factory.redaction import Redactor
from workers import transport
from workers.app import WorkerApp, create_app
from workers.blockage import LoopWatch
from workers.pool import release_slot


class Journal:
    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, what: str, **facts: object) -> None:
        line = json.dumps({"what": what, "at": time.time(), **facts})
        os.write(self._file, f"{line}\n".encode())


def register_sleepers(app: WorkerApp, journal: Journal) -> None:
    @app.task(name="nap", bind=True)
    async def nap(self, seconds: float) -> str:
        journal.write("started", id=self.request.id)
        await asyncio.sleep(seconds)
        journal.write("finished", id=self.request.id)
        return "rested"

    @app.task(name="tidy", bind=True)
    async def tidy(self) -> None:
        journal.write("started", id=self.request.id)
        try:
            await asyncio.sleep(600)
        except SoftTimeLimitExceeded:
            await asyncio.sleep(0.05)
            journal.write("tidied", id=self.request.id)
            raise
        except asyncio.CancelledError:
            journal.write("cancelled", id=self.request.id)
            raise

    @app.task(name="stubborn", bind=True)
    async def stubborn(self) -> None:
        journal.write("started", id=self.request.id)
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)


def register_troublemakers(app: WorkerApp) -> None:
    @app.task(name="block")
    async def block(seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - what the watchdog is for

    @app.task(name="hold_interpreter")
    async def hold_interpreter() -> None:
        """Code in C that never lets go of the interpreter lock."""
        re.match("(?:a|aa)*$", "a" * 60 + "b")

    @app.task(name="fail")
    async def fail(error: str, *words: str) -> None:
        await asyncio.sleep(0)
        kinds: dict[str, type[BaseException]] = {
            "ValueError": ValueError,
            "SystemExit": SystemExit,
            "CancelledError": asyncio.CancelledError,
        }
        raise kinds[error](*words)


def register_census(app: WorkerApp, journal: Journal) -> None:
    @app.task(name="census", bind=True)
    async def census(self) -> None:
        found = sum(isinstance(one, Request) for one in gc.get_objects())
        journal.write("counted", id=self.request.id, requests=found)


def register_batch(app: WorkerApp, journal: Journal) -> None:
    @app.task(name="batch", bind=True, weigh=staticmethod(len))
    async def batch(self, naps: list[float]) -> None:
        async def one(seconds: float) -> None:
            journal.write("job started", id=self_id)
            await asyncio.sleep(seconds)
            journal.write("job finished", id=self_id)
            release_slot()

        self_id = self.request.id
        await asyncio.gather(*(one(seconds) for seconds in naps))


def main(
    redis_url: str, journal_path: str, client_name: str, lane: str, slots: str, *flags: str
) -> None:
    settings = Settings(
        database_url="postgresql://nowhere",
        redis_url=redis_url,
        secret_key="x" * 32,
        log_format="text",
    )
    configure_logging(settings, "worker")
    redactor = Redactor(settings, {"SOME_API_KEY": "marked-key-0123456789"})
    app, journal = create_app(redis_url), Journal(Path(journal_path))
    app.redactor = redactor
    app.drain_s = 3.0 if "drains" in flags else None
    app.conf.broker_transport_options["client_name"] = client_name
    register_sleepers(app, journal)
    register_troublemakers(app)
    register_batch(app, journal)
    register_census(app, journal)

    if "patient" in flags:
        transport.BRIEFLY_S = 300.0
    restart_s = {"impatient": 2.0, "hasty": 1.0}.get(flags[-1] if flags else "", 60.0)

    @contextlib.asynccontextmanager
    async def service() -> AsyncIterator[None]:
        if "broken" in flags:
            raise OSError("no database")
        journal.write("service opened")
        watch = LoopWatch(restart_s)
        watch.start()
        yield
        watch.stop()
        journal.write("service closed")

    @worker_ready.connect(weak=False)
    def note_ready(**_signal: object) -> None:
        journal.write("ready")

    app.loop_contexts.append(service)
    app.run_worker(lane.split(","), int(slots), events="events" in flags, hostname=f"{lane}@test")


if __name__ == "__main__":
    main(*sys.argv[1:])
