"""Alembic's own commands, against the servers of the running platform."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.stack import Stack, environment

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("command", "said"), [("current", "(head)"), ("check", "No new upgrade operations detected")]
)
def test_alembic_finds_the_schema_up_to_date(platform: Stack, command: str, said: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("alembic"), command],
        cwd=ROOT,
        env=environment(platform.home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, said in done.stdout) == (0, True), done.stdout + done.stderr
