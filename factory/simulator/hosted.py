"""A simulator in a thread of its own, for callers without an event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from factory.simulator.journal import Entry, read_entries
from factory.simulator.server import Simulator, SimulatorConfig


@dataclass(frozen=True, slots=True)
class HostedSimulator:
    """A running simulator: where it listens, what it was asked, what it shall do."""

    url: str
    log: Path
    _simulator: Simulator
    _loop: asyncio.AbstractEventLoop

    def calls(self, job: str | None = None) -> list[Entry]:
        """The log's entries so far, oldest first, of one job or of all (None)."""
        return [entry for entry in read_entries(self.log) if job is None or entry.job == job]

    def replace_scripts(self, scripts: Mapping[str, str]) -> None:
        """Puts these scripts in force, by provider, and ends all others; raises InvalidInput."""
        asyncio.run_coroutine_threadsafe(self._replace(scripts), self._loop).result()

    async def _replace(self, scripts: Mapping[str, str]) -> None:
        self._simulator.replace_scripts(scripts)


@contextmanager
def running_simulator(config: SimulatorConfig) -> Iterator[HostedSimulator]:
    """Runs a simulator until the block ends."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="simulator", daemon=True)
    thread.start()
    simulator = Simulator(config)
    try:
        url = asyncio.run_coroutine_threadsafe(simulator.start(), loop).result()
        try:
            yield HostedSimulator(url, config.log or Path(os.devnull), simulator, loop)
        finally:
            asyncio.run_coroutine_threadsafe(simulator.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
