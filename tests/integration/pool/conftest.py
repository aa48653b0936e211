"""Starts real workers of the pool and looks at them from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from workers.app import WorkerApp, create_app

ROOT = Path(__file__).parents[3]
DEADLINE_S = 120.0
WORKER_CLIENT = "pool-worker"


def eventually(holds: Callable[[], Any], within_s: float = DEADLINE_S) -> Any:
    """The first truthy answer of `holds`; fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if answer := holds():
            return answer
        time.sleep(0.01)
    raise AssertionError(f"not within {within_s} s")


@dataclass(frozen=True)
class RunningWorker:
    app: WorkerApp
    lane: str
    process: subprocess.Popen[bytes]
    journal_path: Path
    log_path: Path

    def send(self, task: str, *args: Any, **options: Any) -> str:
        return str(self.app.send_task(task, args, queue=self.lane, **options).id)

    def journal(self, what: str, id: str | None = None) -> list[dict[str, Any]]:
        # A line that is being written may be there in part.
        whole, _, _ = self.journal_path.read_text().rpartition("\n")
        lines = map(json.loads, whole.splitlines())
        return [line for line in lines if line["what"] == what and id in (None, line.get("id"))]

    def log(self) -> str:
        return self.log_path.read_text()

    def queued(self) -> int:
        with self.app.connection_for_read() as connection:
            return int(connection.default_channel.client.llen(self.lane))

    def inspect(self, method: str) -> Any:
        name = f"{self.lane}@test"
        answer = getattr(self.app.control.inspect([name], timeout=DEADLINE_S, limit=1), method)()
        return answer[name]

    def hears_commands(self) -> bool:
        """Whether its subscription to commands is open. It is closed as soon as the worker takes no more messages."""
        return any("P" in client["flags"] for client in self._connections())

    def drop_connections(self) -> None:
        """Kill what the worker has open to Redis."""
        with self.app.connection_for_read() as connection:
            for client in self._connections():
                connection.default_channel.client.client_kill_filter(_id=client["id"])

    def _connections(self) -> list[dict[str, str]]:
        """What it has open to Redis; its connections carry its name."""
        with self.app.connection_for_read() as connection:
            clients = connection.default_channel.client.client_list()
        return [client for client in clients if client["name"] == WORKER_CLIENT]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is sent meanwhile is all there when the worker goes on."""
        self.signal(signal.SIGSTOP)
        yield
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, within_s: float = DEADLINE_S) -> int:
        return self.process.wait(within_s)


StartWorker = Callable[..., AbstractContextManager[RunningWorker]]


@pytest.fixture(scope="session")
def start_worker(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> StartWorker:
    @contextmanager
    def start(lane: str, slots: int = 500, *flags: str) -> Iterator[RunningWorker]:
        folder = tmp_path_factory.mktemp("worker")
        journal_path, log_path = folder / "journal", folder / "log"
        journal_path.touch()
        app = create_app(redis_url)
        command = [sys.executable, str(Path(__file__).with_name("worker_main.py")), redis_url]
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [*command, str(journal_path), WORKER_CLIENT, lane, str(slots), *flags],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        worker = RunningWorker(app, lane, process, journal_path, log_path)
        try:
            eventually(lambda: worker.journal("ready") or process.poll() is not None)
            yield worker
        finally:
            process.kill()
            process.wait()
            with app.connection_for_read() as connection:
                connection.default_channel.client.delete(*lane.split(","))
            app.close()

    return start
