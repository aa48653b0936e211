"""The directory of one installation: its owner, the addresses of its programs, its secret key."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from factory.embedded.ownership import FileLock
from factory.errors import Conflict, Misconfigured

PORTS_FILE = "ports.json"
PROBE_S = 2.0
"""How long to wait for another process that only checks whether the lock is held."""


@dataclass(frozen=True)
class InstallationState:
    """What a running installation tells other commands."""

    database_url: str
    redis_url: str
    api_url: str
    api_key_path: str
    owner_pid: int
    metrics_url: str | None = None
    flower_url: str | None = None
    simulated: tuple[str, ...] = ()
    loopback_webhooks: bool = False
    simulator_url: str | None = None
    gateway_metrics_url: str | None = None


class Home:
    """`directory` holds everything of an installation: databases, logs, keys, state.json."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = FileLock(directory / "owner.lock")

    @property
    def postgres_directory(self) -> Path:
        return self.directory / "postgres"

    @property
    def valkey_directory(self) -> Path:
        return self.directory / "valkey"

    @property
    def _state_path(self) -> Path:
        return self.directory / "state.json"

    def claim(self) -> None:
        """Create the directory and become its owner; raises Conflict if another process is it."""
        # Root may have to run Postgres as `nobody`, who must pass through but cannot look around.
        mode = 0o711 if os.geteuid() == 0 else 0o700
        try:
            self.directory.mkdir(mode=mode, parents=True, exist_ok=True)
            taken = self._lock.acquire(PROBE_S) is None
        except OSError as error:
            raise Misconfigured(
                f"{self.directory.resolve()} cannot be written to: {error.strerror}; FACTORY_HOME names another",
                param="FACTORY_HOME",
            ) from None
        if taken:
            raise Conflict(
                f"Another process already runs the installation in {self.directory}",
                code="directory_in_use",
            )
        self._state_path.unlink(missing_ok=True)  # left by an owner that was killed

    def release(self) -> None:
        """Give the directory up; state.json is void from here on."""
        self._state_path.unlink(missing_ok=True)
        self._lock.release()

    def publish(self, state: InstallationState) -> None:
        """Tell other commands; only the owner may."""
        self.write(self._state_path.name, json.dumps(asdict(state), indent=2))

    def running_state(self) -> InstallationState | None:
        """What the owner published, or None if nobody runs this installation now."""
        # In this order: a new owner first voids what the last one left, and only then counts as running.
        if not self._state_path.exists() or self._lock.is_free():
            return None
        try:
            published = json.loads(self._state_path.read_text())
        except FileNotFoundError:
            return None
        # Another release may publish more than this one knows, or less.
        names = [one.name for one in fields(InstallationState)]
        found = {name: published[name] for name in names if name in published}
        return InstallationState(**{**found, "simulated": tuple(found.get("simulated", ()))})

    def ports(self) -> dict[str, int]:
        """The ports of the last start; none before the first."""
        try:
            kept: dict[str, int] = json.loads((self.directory / PORTS_FILE).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return kept

    def keep_ports(self, ports: Mapping[str, int]) -> None:
        """For the next start; only the owner may."""
        self.write(PORTS_FILE, json.dumps(dict(ports)))

    def secret_key(self) -> str:
        """32 random bytes in hex, made once; only the owner may call it."""
        path = self.directory / "secret_key"
        if not path.exists():
            self.write(path.name, secrets.token_hex(32))
        return path.read_text()

    def write(self, name: str, text: str) -> None:
        """A file of the installation: atomically, durably, 0600."""
        fd, temporary = tempfile.mkstemp(dir=self.directory, prefix=f".{name}.")
        with os.fdopen(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.directory / name)
        _sync_directory(self.directory)


def _sync_directory(directory: Path) -> None:
    """Without this a power loss may undo the rename, and lose the key that all stored secrets depend on."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def home_directory(environ: Mapping[str, str]) -> Path:
    """$FACTORY_HOME, or `.factory` in the working directory; absolute."""
    return Path(environ.get("FACTORY_HOME") or ".factory").resolve()
