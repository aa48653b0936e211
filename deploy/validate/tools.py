"""The validators, installed where they are first needed: from Debian, PyPI or npm, pinned.

Debian's packages need root; without it, and where a registry does not answer, a check is skipped with the reason. Each
Python tool has an environment of its own, because its pins conflict with the platform's.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INSTALL_S = 900.0
RUN_S = 300.0
POLICY = Path("/usr/sbin/policy-rc.d")
PINS = Path(__file__).with_name("pins")
"""`NAME.txt` for a Python tool, with hashes; `package.json` and its lock for those of npm."""


class Invalid(Exception):
    """The artefact is wrong; the text is what the tool said."""


class Unavailable(Exception):
    """The tool cannot be had here; the text says why and what would help."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Finds and runs validators. `root` is the checkout; what is installed lies in `.tools` there."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / ".tools"

    def debian(self, command: str, package: str | None = None) -> str:
        """The path of a command, from the Debian package if it is not there yet."""
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        if found := shutil.which(command, path=path):
            return found
        package = package or command
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise Unavailable(f"{command} is missing; as root: apt-get install {package}")
        with self._lock("apt"), _no_services():
            wait = ("-o", "DPkg::Lock::Timeout=300")
            _install(["apt-get", *wait, "update", "-qq"])
            _install(["apt-get", *wait, "install", "-y", "-qq", "--no-install-recommends", package])
        if found := shutil.which(command, path=path):
            return found
        raise Unavailable(f"the package {package} brought no {command}")

    def python(self, name: str, command: str | None = None) -> str:
        """The path of a command of `pins/NAME.txt`, in an environment of its own."""
        pins = PINS / f"{name}.txt"
        folder = self.home / f"{name}-{_digest(pins)}"
        with self._lock(name):
            if not (folder / ".ready").exists():
                _install([sys.executable, "-m", "venv", "--clear", str(folder)])
                pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
                options = ["--disable-pip-version-check", "--require-hashes", "-r", str(pins)]
                _install([*pip, *options])
                (folder / ".ready").touch()
        return str(folder / "bin" / (command or name))

    def npm(self, pins: Path = PINS) -> Path:
        """The `node_modules` of what the folder's package.json pins; by default the validators from npm."""
        npm = self.debian("npm")
        lock = pins / "package-lock.json"
        folder = self.home / f"npm-{_digest(lock)}"
        with self._lock("npm"):
            if not (folder / ".ready").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                for file in (lock, pins / "package.json"):
                    shutil.copy(file, folder)
                _install(
                    [npm, "ci", "--omit=peer", "--ignore-scripts", "--no-audit", "--no-fund"],
                    folder,
                )
                (folder / ".ready").touch()
        return folder / "node_modules"

    def run(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout_s: float = RUN_S,
    ) -> str:
        """What the command prints on its standard output. Raises Invalid with all output if it fails."""
        words = [str(word) for word in command]
        try:
            done = subprocess.run(
                words,
                cwd=cwd or self.root,
                env={**os.environ, **(env or {})},
                input=input,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            raise Invalid(f"{' '.join(words)}\ndid not end within {timeout_s:.0f} s") from None
        if done.returncode != 0:
            raise Invalid(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Two checks at once install a tool one after the other."""
        self.home.mkdir(exist_ok=True)
        with (self.home / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def _no_services() -> Iterator[None]:
    """Debian starts a server when it installs it, unless this file says no."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _install(command: Sequence[str], cwd: Path | None = None) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            list(command),
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{' '.join(command[:3])} failed: {error}") from None
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Unavailable(f"{' '.join(command[:3])} failed: {''.join(last)}")


def _digest(file: Path) -> str:
    version = ".".join(map(str, sys.version_info[:2]))
    return hashlib.sha256(version.encode() + file.read_bytes()).hexdigest()[:12]
