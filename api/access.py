"""The access log: one line of JSON a request, written many at a time."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from factory.log_file import LogFile
from factory.store.keys import KeyView

FLUSH_S = 0.2
"""How long a line may wait for others to be written with."""

log = logging.getLogger("api.access")


@dataclass(slots=True)
class AccessRecord:
    """A request, as the access log and the counters see it."""

    request_id: str
    method: str
    route: str
    """The template of the path; a raw path would be a label for every job."""
    client: str | None
    supervisor: bool = False
    """Whether `factory up` sent it, to see whether all programs are up."""
    key: KeyView | None = None
    user_id: UUID | None = None
    began: float = field(default_factory=time.time)
    started_s: float = field(default_factory=time.perf_counter)
    waits: bool = False
    """Whether it waits for a job: its duration is then the caller's choice."""

    @property
    def duration_s(self) -> float:
        """Until now."""
        return time.perf_counter() - self.started_s

    def entry(self, status: int) -> dict[str, Any]:
        """The members of its line, now that it has been answered."""
        return {
            "method": self.method,
            "route": self.route,
            "status": status,
            "duration_ms": round(self.duration_s * 1000, 1),
            "request_id": self.request_id,
            "project_id": self.key.project_id if self.key else None,
            "key": self.key.prefix if self.key else None,
            "user_id": self.user_id,
            "client": self.client,
        }


class AccessLog:
    """Keeps lines and writes them from a thread of its own, which starts with the first line.

    A record of `logging`, formatted and flushed for itself, costs a fifth of a POST; a dict that
    orjson renders costs a hundredth. A process that is killed loses the lines of its last 0.2 s.
    """

    def __init__(self, log_format: str, file: LogFile | None = None) -> None:
        self._as_json = log_format == "json"
        self._file = file
        self._entries = deque[tuple[float, dict[str, Any]]]()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._started = threading.Lock()

    def add(self, record: AccessRecord, status: int) -> None:
        """Has the line of an answered request written soon, if the log level allows it."""
        if not log.isEnabledFor(logging.INFO):
            return
        if not self._as_json:
            log.info("%s %s %s", record.method, record.route, status)
            return
        self._entries.append((time.time(), record.entry(status)))
        if not self._thread.is_alive() and self._started.acquire(blocking=False):
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread and writes what is left."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(FLUSH_S * 10)
        self._flush()

    def _run(self) -> None:
        while not self._stopped.wait(FLUSH_S):
            self._flush()

    def _flush(self) -> None:
        entries = []
        with suppress(IndexError):  # one by one: a request may add a line meanwhile
            while True:
                entries.append(self._entries.popleft())
        if entries:
            out = self._file or sys.stderr
            out.write("".join(_line(*entry) for entry in entries))
            out.flush()


def _line(at: float, entry: dict[str, Any]) -> str:
    """The line in the format of `factory.log`."""
    millis = int(at * 1000) % 1000
    line = {
        "time": f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at))},{millis:03d}",
        "level": "INFO",
        "logger": log.name,
        "message": f"{entry['method']} {entry['route']} {entry['status']}",
        "process": "gateway",
        **entry,
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE).decode()
