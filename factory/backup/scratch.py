"""A temporary server on a private socket, to recover data and look at them."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from factory.backup.programs import Programs
from factory.embedded.account import unprivileged_account
from factory.embedded.child import Account, Child, spawn
from factory.errors import Unavailable

STOP_STEPS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0))
LOOK_S = 0.1
LOG_LINES = 8
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # This server must not touch the archive or the standbys of the server that was backed up.
    "archive_mode": "off",
    "synchronous_standby_names": "",
    "primary_conninfo": "",
    "shared_preload_libraries": "",
    "ssl": "off",
    "hot_standby": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "jit": "off",
    "shared_buffers": "128MB",
    "huge_pages": "off",
}
"""Settings over those in the data. Without hot standby, recovery does not demand the limits of the primary."""


@contextmanager
def running_server(programs: Programs, data: Path, settings: Mapping[str, str]) -> Iterator[Path]:
    """Starts a server on the data and waits for the end of its recovery, however long; gives its socket's directory.
    It asks for no password. The data's own settings files are not read: they name files that are not here.

    Raises Unavailable with the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="factory-pg-") as directory:
        place = Path(directory)
        account = unprivileged_account(programs.path("postgres"), data.parent)
        (place / "postgresql.conf").touch()
        (place / "pg_hba.conf").write_text("local all all trust\n")
        (place / "pg_ident.conf").touch()
        _hand_over(place, account)
        _hand_over(data, account)
        server = _start(programs, data, place, account, {**SETTINGS, **settings})
        try:
            _await(server, data, place)
            yield place
        finally:
            server.end(STOP_STEPS)


def _start(
    programs: Programs, data: Path, place: Path, account: Account, settings: Mapping[str, str]
) -> Child:
    files = {
        "config_file": place / "postgresql.conf",
        "hba_file": place / "pg_hba.conf",
        "ident_file": place / "pg_ident.conf",
    }
    options = [f"--{name}={value}" for name, value in {**files, **settings}.items()]
    with (place / "log").open("wb") as log:
        return spawn(
            [programs.path("postgres"), "-D", data, "-k", place, *options],
            death_signal=signal.SIGQUIT,
            output=log,
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            cwd=Path("/"),
            account=account,
        )


def _await(server: Child, data: Path, place: Path) -> None:
    while not _accepts(data):
        if not server.running:
            lines = (place / "log").read_text(errors="replace").splitlines()[-LOG_LINES:]
            raise Unavailable("\n".join(["the server that recovers the data has ended:", *lines]))
        time.sleep(LOOK_S)


def _accepts(data: Path) -> bool:
    """As pg_ctl sees it: the eighth line of postmaster.pid is the server's status."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _hand_over(path: Path, account: Account) -> None:
    if account.uid is None or account.gid is None:
        return
    for one in (path, *path.rglob("*")):
        os.chown(one, account.uid, account.gid, follow_symlinks=False)
