"""A place for backups, and a server whose log is archived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from factory.backup.seal import IdentityFile, create_identity
from factory.backup.vault import Vault
from factory.backup.wal import archive_command
from factory.embedded.postgres import EmbeddedPostgres
from factory.store import servers
from factory.store.migrate import upgrade
from tests.integration.reliability.rig import eventually


@dataclass(frozen=True, slots=True)
class Key:
    """Both halves."""

    recipient: str
    identity: IdentityFile


@pytest.fixture
def key(tmp_path: Path) -> Key:
    path = tmp_path / "backup.key"
    return Key(create_identity(path), IdentityFile(path))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    # As awkward as a path may be: it passes Postgres' own letters, its configuration and a shell.
    found = Vault(tmp_path / "back'ups of 100%f")
    found.wal.mkdir(parents=True)
    return found


@dataclass(frozen=True, slots=True)
class Archiving:
    """A server, its admin's database, and the platform's."""

    server: EmbeddedPostgres
    admin_url: str
    url: str

    def archive_now(self) -> None:
        segment = servers.ask(self.admin_url, "SELECT pg_walfile_name(pg_switch_wal())")
        archived = "SELECT last_archived_wal >= %s FROM pg_stat_archiver"
        eventually(lambda: servers.ask(self.admin_url, archived, segment))


@pytest.fixture
def archiving(tmp_path: Path, vault: Vault) -> Iterator[Archiving]:
    """Migrated, in a database that can be dropped."""
    settings = {"archive_mode": "on", "archive_command": archive_command(vault.wal, None)}
    server = EmbeddedPostgres(tmp_path / "postgres", settings)
    admin_url = server.start()
    servers.create_database(admin_url, "platform")
    url = servers.with_database(admin_url, "platform")
    upgrade(url)
    yield Archiving(server, admin_url, url)
    server.stop()
