"""A Postgres whose log is archived: backed up, broken, restored in place."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from deploy.drills.stage import Stage, factory_cli, persist, until
from deploy.validate.tools import Unavailable
from factory.backup.seal import create_identity
from factory.config import Settings
from factory.embedded.postgres import EmbeddedPostgres
from factory.store import servers
from factory.store.migrate import upgrade

DATABASE = "factory"
ARCHIVED = "SELECT last_archived_wal >= %s FROM pg_stat_archiver"


@dataclass(frozen=True, slots=True)
class ArchivedServer:
    """A running server; `url` names its database, `admin_url` one that stays when that is dropped."""

    postgres: EmbeddedPostgres
    url: str
    admin_url: str
    directory: Path
    recipient: str | None

    def settings(self, of: Settings) -> Settings:
        """The platform's, with what backups need."""
        key = self.directory / "backup.key"
        return of.model_copy(
            update={
                "backup_dir": str(self.directory / "backups"),
                "backup_recipient": self.recipient,
                "backup_identity_file": str(key) if self.recipient else None,
            }
        )

    def cli(self, of: Settings, *words: str) -> Any:
        return factory_cli(self.settings(of), self.directory, *words)

    def base(self, of: Settings) -> None:
        """A physical backup, encrypted where the archive is."""
        self.cli(of, "backup", "base", *(() if self.recipient else ("--unencrypted",)))

    def archive_now(self) -> None:
        """Returns when all that was written is in the archive."""
        segment = self._ask("SELECT pg_walfile_name(pg_switch_wal())")
        until(lambda: self._ask(ARCHIVED, segment))

    def now(self) -> str:
        """By the server's clock, as --at takes it."""
        return str(self._ask("SELECT clock_timestamp()").isoformat())

    def replace(self, restored: Path) -> None:
        """Another data directory takes the place of the server's, which is kept beside it."""
        self.postgres.stop()
        data = self.postgres.directory / "data"
        data.rename(restored.with_name("before"))
        restored.rename(data)
        self.postgres.start()

    def _ask(self, statement: str, *params: object) -> Any:
        return persist(lambda: servers.ask(self.admin_url, statement, *params))


@contextmanager
def archived_server(stage: Stage) -> Iterator[ArchivedServer]:
    """A migrated one; its archive is encrypted where the tool `age` can be had."""
    backups = stage.directory / "backups"
    wal = backups / "wal"
    wal.mkdir(parents=True)
    recipient = _recipient(stage)
    script = files("factory.backup") / "archive-wal.sh"
    command = f"sh {script} {wal} %p %f {recipient or ''}".strip()
    settings = {"archive_mode": "on", "archive_command": command, "wal_level": "replica"}
    postgres = EmbeddedPostgres(stage.directory / "postgres", settings)
    try:
        admin_url = postgres.start()
        servers.create_database(admin_url, DATABASE)
        url = servers.with_database(admin_url, DATABASE)
        upgrade(url)
        yield ArchivedServer(postgres, url, admin_url, stage.directory, recipient)
    finally:
        postgres.stop()
        shutil.rmtree(backups, ignore_errors=True)


def _recipient(stage: Stage) -> str | None:
    try:
        stage.tools.debian("age")
    except Unavailable as reason:
        sys.stderr.write(f"drills: the archive is not encrypted: {reason}\n")
        return None
    return create_identity(stage.directory / "backup.key")
