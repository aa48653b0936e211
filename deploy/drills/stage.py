"""What every drill stands on: a directory, the tools, a provider, and how much is to be done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from deploy.validate.tools import Tools
from factory.config import Settings
from factory.simulator import HostedSimulator, SimulatorConfig, running_simulator
from factory.simulator.script import Latency

FACTORY = str(Path(sys.executable).with_name("factory"))
COMMAND_S = 300.0
PATIENCE_S = 180.0
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Stage:
    """A drill's own ground."""

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

    def clear(self) -> None:
        """Removes the servers' files."""
        shutil.rmtree(self.directory, ignore_errors=True)


def until(look: Callable[[], Answer], within_s: float = PATIENCE_S) -> Answer:
    """The first truthy answer. Raises TimeoutError with the last one."""
    deadline = time.monotonic() + within_s
    while not (answer := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {answer!r} after {within_s:g} s")
        time.sleep(0.02)
    return answer


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
