"""What every drill stands on: a directory, the tools, servers, a provider, and how much is to be done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from deploy.validate.tools import Tools
from factory.config import Settings
from factory.embedded.postgres import NO_SETTINGS, EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey
from factory.errors import Unavailable
from factory.simulator import HostedSimulator, SimulatorConfig, running_simulator
from factory.simulator.script import Latency

FACTORY = str(Path(sys.executable).with_name("factory"))
COMMAND_S = 300.0
PATIENCE_S = 180.0
PAUSE_S = 0.02
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Broker:
    """A running Valkey."""

    server: EmbeddedValkey
    url: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Where servers and programs have their files."""

    directory: Path
    tools: Tools
    quick: bool

    def seconds(self, full_s: float) -> float:
        """How long load lasts: a third of it in the quick form."""
        return full_s / 3 if self.quick else full_s

    @contextmanager
    def provider(self) -> Iterator[HostedSimulator]:
        """Stands in for OpenAI and Anthropic, over their own wire."""
        config = SimulatorConfig(log=self.directory / "calls.log", latency=Latency(50, 400))
        with running_simulator(config) as simulator:
            yield simulator

    @contextmanager
    def database(
        self, name: str = "postgres", settings: Mapping[str, str] = NO_SETTINGS
    ) -> Iterator[str]:
        """The URL of a Postgres without tables."""
        server = EmbeddedPostgres(self.directory / name, settings)
        try:
            yield server.start()
        finally:
            server.stop()

    @contextmanager
    def broker(self, name: str = "valkey") -> Iterator[Broker]:
        """An empty one."""
        server = EmbeddedValkey(self.directory / name)
        try:
            yield Broker(server, server.start())
        finally:
            server.stop()

    def part(self, name: str) -> Stage:
        """A place within this one."""
        directory = self.directory / name
        directory.mkdir()
        return replace(self, directory=directory)

    def clear(self) -> None:
        """Removes all files."""
        shutil.rmtree(self.directory, ignore_errors=True)


def until(look: Callable[[], Answer], within_s: float = PATIENCE_S) -> Answer:
    """The first truthy answer. Raises TimeoutError with the last one."""
    deadline = time.monotonic() + within_s
    while not (answer := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {answer!r} after {within_s:g} s")
        time.sleep(PAUSE_S)
    return answer


def persist(act: Callable[[], Answer], within_s: float = PATIENCE_S) -> Answer:
    """What `act` gives in the first try that Postgres lets through.

    The platform works meanwhile: a deadlock with its statements, a lock or a slow machine may end a try.
    Raises Unavailable when the time is over.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            return act()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_S)


def factory_cli(settings: Settings, directory: Path, *words: str, **variables: str) -> Any:
    """What a command of `factory` prints with --json. Raises AssertionError with its words if it fails."""
    done = subprocess.run(
        [FACTORY, *words, "--json"],
        cwd=directory,
        env={**environment(settings), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_S,
    )
    if done.returncode != 0:
        raise AssertionError(f"factory {' '.join(words)}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def environment(settings: Settings) -> Mapping[str, str]:
    """The settings as a program finds them, and nothing of an installation around here."""
    values = settings.model_dump(exclude_none=True)
    named = {name.upper(): str(value) for name, value in values.items()}
    return {**os.environ, "FACTORY_ENV_FILE": "", **named}
