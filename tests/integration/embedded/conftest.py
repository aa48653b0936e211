from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OWNER = Path(__file__).with_name("owner.py")
Owner = Callable[[str, Path], "subprocess.Popen[str]"]


@pytest.fixture
def own() -> Iterator[Owner]:
    """Start a process that owns a server in a directory; ready when it has printed the URL."""
    owners: list[subprocess.Popen[str]] = []

    def start(kind: str, directory: Path) -> subprocess.Popen[str]:
        owner = subprocess.Popen(
            [sys.executable, OWNER, kind, directory],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        owners.append(owner)
        assert owner.stdout is not None
        assert owner.stdout.readline(), "the owner did not start its server"
        return owner

    yield start
    for owner in owners:
        owner.terminate()
        owner.communicate(timeout=60)
