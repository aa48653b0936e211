"""Locks that a crashed Postgres has left do not keep the next one from starting."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.embedded.postgres import EmbeddedPostgres
from factory.errors import Unavailable
from tests.integration.embedded.conftest import Owner
from tests.integration.embedded.processes import alive, processes_in, until
from tests.integration.embedded.test_postgres import ask


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "pg")
    yield server
    server.stop()
    assert not processes_in(server.directory)


def test_a_stale_pid_file_that_names_another_process_does_no_harm(
    server: EmbeddedPostgres,
) -> None:
    server.start()
    pid_file = server.directory / "data/postmaster.pid"
    content = pid_file.read_text().split("\n", 1)[1]
    server.stop()
    pid_file.write_text(f"1\n{content}")
    assert ask(server.start(), "SELECT 1") == (1,)


LOCKS = ("data/postmaster.pid", ".s.PGSQL.5432.lock")


def _crash(server: EmbeddedPostgres, own: Owner) -> list[int]:
    """Everything at once, the server too: its locks stay."""
    owner = own("postgres", server.directory)
    pids = processes_in(server.directory)
    for pid in [*pids, owner.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


def test_a_start_right_after_everything_was_killed_works(
    server: EmbeddedPostgres, own: Owner
) -> None:
    _crash(server, own)
    assert ask(server.start(), "SELECT 1") == (1,)


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize("pid", ["another process", "a zombie", "nobody", "torn"])
def test_a_lock_of_a_crashed_server_does_no_harm(
    server: EmbeddedPostgres, own: Owner, name: str, pid: str, unrelated: int, zombie: int
) -> None:
    """Pids come again: soon in containers, and after each boot. A torn file is what a power loss leaves."""
    gone = _crash(server, own)
    until(lambda: not processes_in(server.directory))
    lock = server.directory / name
    _first, rest = lock.read_text().split("\n", 1)
    named = {"another process": unrelated, "a zombie": zombie, "nobody": gone[0]}
    lock.write_text(f"{named[pid]}\n{rest}" if pid in named else "")
    assert ask(server.start(), "SELECT 1") == (1,)


def test_somebody_elses_server_on_the_data_is_left_alone(server: EmbeddedPostgres) -> None:
    """As of an operator who repairs it by hand, with no lock of ours."""
    server.start()
    server.stop()
    standing = subprocess.Popen(["sleep", "60"], cwd=server.directory / "data")
    try:
        (server.directory / "data/postmaster.pid").write_text(f"{standing.pid}\n")
        with pytest.raises(Unavailable, match=r"postmaster\.pid"):
            server.start()
    finally:
        standing.kill()
        standing.wait()
    assert ask(server.start(), "SELECT 1") == (1,)


@pytest.fixture
def unrelated() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    process.kill()
    process.wait()


@pytest.fixture
def zombie() -> Iterator[int]:
    """A process that has ended and is not reaped: in a container without an init, for ever."""
    process = subprocess.Popen(["true"])
    until(lambda: not alive(process.pid))
    yield process.pid
    process.wait()
