"""The simulator's own log of every call: the independent witness of what was really asked.

A line is on disk before the last byte of its answer leaves. Lines that arrive while an fsync runs
share the next one, so that a slow disk delays answers but does not queue them.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import orjson


class Phase(StrEnum):
    """How far a call has come. A call has one `received` line and then at least one other."""

    RECEIVED = "received"
    ANSWERED = "answered"
    """Written before the answer's last byte is sent."""
    ABORTED = "aborted"
    """Not sent to the end: scripted, or the client went. May follow `answered`."""


class Outcome(StrEnum):
    """What came of a call."""

    PENDING = "pending"
    OK = "ok"
    REFUSED = "refused"
    """The request was at fault: no key, no such model, not valid."""
    STATUS = "status"
    HANG = "hang"
    CUT = "cut"
    GARBAGE = "garbage"
    TOOL = "tool"
    ODD = "odd"
    CLIENT_GONE = "client_gone"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `job`, `step` and `attempt` are what the caller's `x-factory-*` headers said."""

    at: datetime
    phase: Phase
    call: str
    provider: str
    endpoint: str
    model: str
    outcome: Outcome
    status: int | None
    job: str | None
    step: str | None
    attempt: str | None
    input_tokens: int
    output_tokens: int
    latency_ms: float
    """As planned; what passed is the difference of the lines' `at`."""
    fully_sent: bool


@dataclass(slots=True)
class _Batch:
    written: asyncio.Future[None]
    lines: list[bytes] = field(default_factory=list)


class Counts:
    """What a simulator without a log knows of its calls."""

    def __init__(self) -> None:
        self._counts: dict[str | None, Counter[str]] = defaultdict(Counter)

    def note(self, entry: Entry) -> None:
        """Takes the entry, without waiting for the disk."""
        keys = [entry.phase.value]
        if entry.phase is not Phase.RECEIVED and entry.status is not None:
            keys.append(f"status_{entry.status}")
        self._counts[None].update(keys)
        if entry.job is not None:
            self._counts[entry.job].update(keys)

    async def commit(self, entry: Entry) -> None:
        """Takes the entry and returns when it is on disk, if there is a log; raises OSError if it cannot be."""
        self.note(entry)

    def counts(self, job: str | None = None) -> dict[str, int]:
        """Lines since the start by phase, and ended calls by status, of one job or of all (None)."""
        return dict(self._counts[job]) if job in self._counts else {}

    async def close(self) -> None:
        """Writes what is pending."""


class Journal(Counts):
    """Appends entries to a file; opened, used and closed within one event loop."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        _drop_torn_line(path)
        self._file = path.open("ab")
        self._thread = ThreadPoolExecutor(1, "simulator-journal")
        self._loop = asyncio.get_running_loop()
        self._batch = _Batch(self._loop.create_future())
        self._writer: asyncio.Task[None] | None = None

    def note(self, entry: Entry) -> None:
        """Appends the entry soon, without waiting for the disk."""
        super().note(entry)
        self._batch.lines.append(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
        if self._writer is None or self._writer.done():
            self._writer = self._loop.create_task(self._write_batches())

    async def commit(self, entry: Entry) -> None:
        """Appends the entry and returns when it is on disk; raises OSError if it cannot be."""
        self.note(entry)
        # Shielded: the future belongs to every call of the batch, and this one may be cancelled.
        await asyncio.shield(self._batch.written)

    async def close(self) -> None:
        """Writes what is pending and closes the file."""
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()
        self._file.close()

    async def _write_batches(self) -> None:
        while self._batch.lines:
            batch, self._batch = self._batch, _Batch(self._loop.create_future())
            try:
                await self._loop.run_in_executor(self._thread, self._write, batch.lines)
            except OSError as error:
                batch.written.set_exception(error)
            else:
                batch.written.set_result(None)

    def _write(self, lines: list[bytes]) -> None:
        self._file.writelines(lines)
        self._file.flush()
        os.fsync(self._file.fileno())


def read_entries(path: Path) -> Iterator[Entry]:
    """Every whole line of a log, oldest first; a torn last line was never promised to anybody."""
    for line in path.read_bytes().split(b"\n")[:-1]:
        fields = orjson.loads(line)
        yield Entry(
            **{
                **fields,
                "at": datetime.fromisoformat(fields["at"]),
                "phase": Phase(fields["phase"]),
                "outcome": Outcome(fields["outcome"]),
            }
        )


def _drop_torn_line(path: Path) -> None:
    """A kill in the middle of a write may leave half a line, which the next would continue."""
    if path.exists():
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)
