"""The gateway's metrics for Prometheus: one of its processes serves the sums over all of them.

prometheus_client keeps the values of each process in files of one directory. The counters of a process that has
ended stay there: a sum that falls would look like a restart. Gunicorn's main process does not serve them, as a
process that forks must have no threads.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "factory-metrics-"
SERVING = "serving"
"""Locked by the process that serves; when it ends, another one gets the lock."""
RETRY_S = 5.0
LEFT_AFTER_S = 60.0
"""Younger directories are not removed: their gateway may not have locked them yet."""

log = logging.getLogger(__name__)


class Exposition:
    """The directory of one gateway, and its server. To be opened before prometheus_client is imported."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._directory: Path | None = None
        self._lock = -1

    def open(self) -> None:
        """Makes the directory, and removes those that killed gateways have left."""
        parent = _memory_or_disk()
        _remove_left(parent)
        try:
            self._directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        except OSError as error:
            log.error("no metrics: no directory can be made in %s: %s", parent, error.strerror)
            return
        self._lock = _locked(self._directory)
        os.environ[DIRECTORY_VARIABLE] = str(self._directory)

    def serve(self) -> None:
        """Called in each process: serves `/metrics` from a thread, once no other process does."""
        if self._directory:
            threading.Thread(
                target=self._serve, args=[self._directory], name="metrics", daemon=True
            ).start()

    def forget(self, pid: int) -> None:
        """Removes the gauges of a process that has ended."""
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

        if self._directory:
            mark_process_dead(pid, str(self._directory))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Removes the directory."""
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            os.close(self._lock)

    def _serve(self, directory: Path) -> None:
        from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        lock = os.open(directory / SERVING, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]
        told = False
        while True:
            try:
                start_http_server(self._port, self._host, registry)
                return
            except OSError as error:
                if not told:
                    where = f"{self._host}:{self._port}"
                    log.error("no metrics at %s (GATEWAY_METRICS_PORT): %s", where, error.strerror)
                told = True
                time.sleep(RETRY_S)


def _memory_or_disk() -> Path:
    """A directory in memory if possible: a container's disk may be read-only."""
    memory = Path("/dev/shm")  # noqa: S108 - the directory in it gets a random name
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


def _locked(directory: Path) -> int:
    """A descriptor that locks the directory as long as a process of this gateway lives."""
    descriptor = os.open(directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _remove_left(parent: Path) -> None:
    for directory in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if time.time() - directory.stat().st_mtime < LEFT_AFTER_S:
                continue
            os.close(_locked(directory))
            shutil.rmtree(directory, ignore_errors=True)
