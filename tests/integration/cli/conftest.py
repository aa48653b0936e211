from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FACTORY = (sys.executable, "-c", "from factory.cli.main import main; main()")
STOPS_S = 90
FOREIGN = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "FACTORY_URL",
    "FACTORY_API_KEY",
    "OPENAI_API_KEY",
)


@dataclass(frozen=True)
class CommandLine:
    """The command `factory` in a directory of its own, with an environment that names nothing."""

    directory: Path

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        return {**kept, "PYTHONPATH": str(ROOT), "FACTORY_HOME": str(self.directory / "home")}

    def run(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*FACTORY, *arguments],
            cwd=self.directory,
            env=self.environment(),
            input=text,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )

    def json(self, *arguments: str, text: str = "") -> Any:
        done = self.run(*arguments, "--json", text=text)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def up(self, *arguments: str) -> subprocess.Popen[str]:
        """Started, and up once it has printed a line of JSON."""
        with (self.directory / "up.log").open("w") as log:
            return subprocess.Popen(
                [*FACTORY, "up", "--json", "--no-flower", *arguments],
                cwd=self.directory,
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )


def stop(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=STOPS_S)
    return process.returncode


@pytest.fixture
def command_line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """An installation that runs for the tests of one module."""
    command_line = CommandLine(tmp_path_factory.mktemp("up"))
    process = command_line.up()
    assert process.stdout is not None
    if not process.stdout.readline():
        process.communicate(timeout=STOPS_S)
        pytest.fail((command_line.directory / "up.log").read_text())
    yield command_line
    assert stop(process) == 0
