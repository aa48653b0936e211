"""Makes the virtual environment that the Makefile uses: `python3 deploy/install.py [dev] [local-llm]`.

Standard library only, since nothing is installed yet. Safe to run twice at once: a lock makes the
second wait, and a stamp tells it that nothing is left to do.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / os.environ.get("VENV", ".venv")
PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)
PROGRAMS = (
    "workers.worker",
    "workers.dispatcher, workers.exporter, factory.cli.platform, factory.cli.showcase, "
    "factory.simulator.__main__, api, gunicorn.app.wsgiapp, "
    "gunicorn.workers.gthread, flower.command, celery.bin.celery",
)
"""Modules that the programs import, in two halves that take about as long."""


def main(extras: list[str]) -> int:
    """Installs what the requirement files pin, unless it is installed."""
    if sys.version_info < OLDEST:
        print(
            f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {sys.version.split()[0]}."
            " Try: make PYTHON=python3.11 demo",
            file=sys.stderr,
        )
        return 2
    VENV.parent.mkdir(parents=True, exist_ok=True)
    with open(VENV.with_name(VENV.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for files in [["requirements.txt"], *([f"requirements-{extra}.txt"] for extra in extras)]:
            _ensure(files[0])
        _ensure_package()
        _ensure_bytecode()
    return 0


def _ensure(name: str) -> None:
    stamp = VENV / f".{name}.stamp"
    wanted = _digest(ROOT / name)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    started = time.monotonic()
    if not PYTHON.exists():
        _say("creating the virtual environment")
        _run([sys.executable, "-m", "venv", str(VENV)])
    _say(f"installing {name} (pinned, with hashes)")
    _install(["--no-deps", "--require-hashes", "-r", str(ROOT / name)])
    stamp.write_text(wanted)
    _say(f"{name} is installed, {time.monotonic() - started:.0f} s")


def _ensure_package() -> None:
    stamp = VENV / ".package.stamp"
    wanted = _digest(ROOT / "setup.cfg")
    if stamp.exists() and stamp.read_text() == wanted:
        return
    _install(["--no-deps", "--no-build-isolation", "-e", str(ROOT)])
    stamp.write_text(wanted)


def _ensure_bytecode() -> None:
    """Compiles what the programs import, as uv does not; it takes as long as starting all of them.

    Each would do so at its first start, and at every start where PYTHONDONTWRITEBYTECODE is set.
    """
    stamp = VENV / ".bytecode.stamp"
    wanted = _digest(ROOT / "requirements.txt")
    if stamp.exists() and stamp.read_text() == wanted:
        return
    writing = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    commands = [[str(PYTHON), "-c", f"import {modules}"] for modules in PROGRAMS]
    halves = [subprocess.Popen(command, cwd=ROOT, env=writing) for command in commands]
    if [half.wait() for half in halves] == [0, 0]:
        stamp.write_text(wanted)


def _install(arguments: list[str]) -> None:
    """With uv it takes a third of pip's time. It does not read pip's configuration, so where it finds no index, pip tries."""
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]
    installer = [
        "install",
        "-q",
        "--require-hashes",
        "-r",
        str(ROOT / "requirements-installer.txt"),
    ]
    uv = VENV / "bin" / "uv"
    if uv.exists() or subprocess.run([*pip, *installer], check=False).returncode == 0:
        command = [str(uv), "pip", "install", "-q", "--system-certs"]
        command += ["--python", str(PYTHON), *arguments]
        if subprocess.run(command, check=False).returncode == 0:
            return
        _say("uv could not install it; trying pip, which takes minutes")
    _run([*pip, "install", "-q", *arguments])


def _digest(path: Path) -> str:
    version = ".".join(map(str, sys.version_info[:2]))
    return f"{version} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _run(command: list[str]) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(
            f"failed: {' '.join(command)}\n"
            "On Debian and Ubuntu, creating an environment needs: apt install python3-venv"
        )


def _say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
