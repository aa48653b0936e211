"""Programs end when they are told to, at whatever moment that is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from factory.services import Services
from tests.integration.reliability.ports import free_port

ROOT = Path(__file__).parents[3]
INTERRUPTED = Path(__file__).with_name("interrupted.py")
ENDS_S = 120.0


@pytest.mark.parametrize("module", ["workers.exporter", "workers.dispatcher"])
def test_a_signal_in_the_middle_of_a_wait_ends_the_program(services: Services, module: str) -> None:
    settings = services.settings
    port = ("--port", str(free_port())) if module == "workers.exporter" else ()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FACTORY_ENV_FILE": "",
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key,
        "ALLOW_WEAK_SETTINGS": "true",
    }
    done = subprocess.run(
        [sys.executable, str(INTERRUPTED), module, *port],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=ENDS_S,
    )
    assert done.returncode == 0, done.stderr
    assert "SIGTERM in the middle of a wait" in done.stderr
