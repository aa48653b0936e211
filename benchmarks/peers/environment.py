"""The peers' virtual environment, `.venv-bench`: their pins of redis and psycopg are not ours."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".venv-bench"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "requirements-bench.txt"


def python() -> Path:
    """Its interpreter, once what requirements-bench.txt pins is installed. Made on the first use.

    A lock makes the second of two callers wait. Raises CalledProcessError.
    """
    with VENV.with_name(f"{VENV.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = VENV / f".{REQUIREMENTS.name}.stamp"
        wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            _install()
            stamp.write_text(wanted)
    return PYTHON


def _install() -> None:
    """With uv where it is installed; where it finds no index, pip does, as pip may be configured."""
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    what = ["-q", "--require-hashes", "-r", str(REQUIREMENTS)]
    uv = Path(sys.executable).parent / "uv"
    if uv.exists():
        command = [str(uv), "pip", "install", "--python", str(PYTHON), *what]
        if subprocess.run(command, check=False).returncode == 0:
            return
    subprocess.run([str(PYTHON), "-m", "pip", "install", *what], check=True)
