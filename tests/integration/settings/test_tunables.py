"""Tunables that no other test turns: each changes what a program does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SPEAK = """
import logging, os
from factory.config import load_settings
from factory.log import configure_logging
configure_logging(load_settings(dict(os.environ)), "test")
for level in ("debug", "info", "warning", "error"):
    getattr(logging.getLogger("factory.test"), level)("said as %s", level)
"""
NEEDED = {
    "DATABASE_URL": "postgresql://user@127.0.0.1/nothing",
    "REDIS_URL": "redis://127.0.0.1:1",
    "SECRET_KEY": "0123456789abcdef" * 4,
}


@pytest.mark.parametrize(
    ("level", "said"),
    [("DEBUG", 4), ("INFO", 3), ("WARNING", 2), ("ERROR", 1), ("CRITICAL", 0)],
)
def test_log_level_is_the_least_that_is_said(level: str, said: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPEAK],
        env={**os.environ, **NEEDED, "LOG_LEVEL": level, "FACTORY_ENV_FILE": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout + done.stderr).count("said as") == said
