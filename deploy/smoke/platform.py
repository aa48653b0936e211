"""A platform of one's own: `factory up --simulate` on a scratch directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.smoke.steps import Target
from factory.config import Settings, consumed_names
from factory.errors import Unavailable

FACTORY = Path(sys.executable).with_name("factory")
STARTS_S, STOPS_S = 180.0, 60.0
DRAIN_S = "10"
"""A step that was given up may have left a call that never ends."""
LOG_TAIL_LINES = 20
MODEL = "openai/gpt-4o-mini"
NAMES_ANOTHER = ("FACTORY_HOME", "FACTORY_URL", "FACTORY_API_KEY", "FACTORY_ENV_FILE")
"""Variables beside the settings by which a command would find another installation."""


@contextmanager
def own_platform(patience_s: float) -> Iterator[Target]:
    """Simulated, with webhooks to loopback; gone when the block ends. Raises Unavailable."""
    with tempfile.TemporaryDirectory(prefix="factory-smoke-") as scratch:
        # So that root's Postgres, which runs as another user, may enter it.
        Path(scratch).chmod(0o711)
        directory, environ = Path(scratch), environment(Path(scratch))
        process = _start(directory, environ)
        try:
            banner = _banner(directory, process)
            yield Target(
                url=banner["api_url"],
                key=banner["api_key"],
                model=MODEL,
                patience_s=patience_s,
                webhook_secret=_webhook_secret(environ, directory),
                exporter=banner["metrics_url"],
                on_loopback=True,
                home=environ["FACTORY_HOME"],
            )
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOPS_S)
    except subprocess.TimeoutExpired:
        process.terminate()  # a second signal kills what still runs
        process.wait(STOPS_S)


def environment(directory: Path) -> dict[str, str]:
    """That of this process, with nothing in it that names another installation."""
    settings = (name.upper() for name in Settings.model_fields)
    foreign = {*settings, *consumed_names(), *NAMES_ANOTHER}
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    mine = {
        "FACTORY_HOME": str(directory / "home"),
        "WEBHOOK_ALLOW_LOOPBACK": "true",
        "DRAIN_S": DRAIN_S,
    }
    return {**kept, **mine}


def _start(directory: Path, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with (directory / "up.json").open("w") as out, (directory / "up.log").open("w") as log:
        return subprocess.Popen(
            [FACTORY, "up", "--simulate", "--no-flower", "--json"],
            cwd=directory,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            start_new_session=True,
        )


def _banner(directory: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + STARTS_S
    while not (said := (directory / "up.json").read_text()).endswith("\n"):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = (directory / "up.log").read_text().splitlines()[-LOG_TAIL_LINES:]
            raise Unavailable("\n".join(["the platform did not start", *tail]))
        time.sleep(0.1)
    banner: dict[str, Any] = json.loads(said)
    if "error" in banner:
        raise Unavailable(f"the platform did not start: {banner['error']['message']}")
    return banner


def _webhook_secret(environ: Mapping[str, str], directory: Path) -> str:
    done = subprocess.run(
        [FACTORY, "keys", "webhook-secret"],
        cwd=directory,
        env=dict(environ),
        capture_output=True,
        text=True,
        check=True,
        timeout=STOPS_S,
    )
    return done.stdout.strip()
