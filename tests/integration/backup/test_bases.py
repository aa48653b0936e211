"""A physical backup and the archived log lead to any later moment, also to that before a DROP DATABASE."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from factory.backup import base as bases
from factory.backup.base import Target
from factory.backup.scratch import running_server
from factory.backup.vault import Manifest, Vault
from factory.backup.verify import verify
from factory.backup.wal import gaps, segments
from factory.config import Settings
from factory.errors import Conflict, NotFound, Unavailable
from factory.services import connect
from factory.store import servers
from tests.integration.backup.conftest import Archiving, Key
from tests.integration.backup.test_dumps import quiet
from tests.integration.store.samples import given_jobs


def add_jobs(url: str, count: int) -> list[UUID]:
    settings = Settings(
        database_url=url, redis_url="redis://x/0", secret_key="test-secret-key-of-32-characters!"
    )
    services = connect(settings, "test")
    try:
        return given_jobs(services, count)
    finally:
        services.close()


@contextmanager
def opened(vault: Vault, manifest: Manifest, directory: Path) -> Iterator[str]:
    with running_server(bases.server_programs(manifest), directory, {}) as sockets:
        yield bases.url_in(sockets, manifest)


def count(url: str, what: str = "jobs") -> Any:
    return servers.ask(url, f"SELECT count(*) FROM {what}")


def test_the_log_leads_to_the_moment_before_a_drop(
    archiving: Archiving, vault: Vault, key: Key, tmp_path: Path
) -> None:
    add_jobs(archiving.url, 3)
    made = bases.base(vault, archiving.url, key.recipient, quiet)
    add_jobs(archiving.url, 4)
    servers.drop_database(archiving.admin_url, "platform")
    archiving.archive_now()
    target = Target(before_drop=True)
    recovered = bases.restore(vault, made, tmp_path / "restored", target, key.identity)
    with opened(vault, made, recovered.directory) as url:
        assert count(url) == 7
        assert count(url, "restores WHERE decided_at IS NULL") == 1
    ready = recovered.directory / "pg_wal" / "archive_status" / "00000002.history.ready"
    assert ready.exists(), "the server is to archive the history of the timeline that it begins"
    archived = segments(vault.wal)
    with pytest.raises(Conflict, match="not empty"):
        bases.restore(vault, made, tmp_path / "restored", target, key.identity)
    assert segments(vault.wal) == archived, "the recovered server must not write to the archive"


def test_a_moment_between_two_writes(
    archiving: Archiving, vault: Vault, key: Key, tmp_path: Path
) -> None:
    made = bases.base(vault, archiving.url, None, quiet)
    add_jobs(archiving.url, 2)
    moment: datetime = servers.ask(archiving.url, "SELECT clock_timestamp()")
    add_jobs(archiving.url, 5)
    archiving.archive_now()
    recovered = bases.restore(vault, made, tmp_path / "restored", Target(at=moment), None)
    assert recovered.restored_to <= moment
    with opened(vault, made, recovered.directory) as url:
        assert count(url) == 2
    with pytest.raises(NotFound, match="choose an older one"):
        bases.restore(vault, made, tmp_path / "again", Target(at=made.at), None)


def test_a_restore_that_fails_leaves_the_directory_for_another(
    archiving: Archiving, vault: Vault, tmp_path: Path
) -> None:
    made = bases.base(vault, archiving.url, None, quiet)
    add_jobs(archiving.url, 2)
    archiving.archive_now()
    later = Target(at=datetime.now(UTC) + timedelta(days=1))
    directory = tmp_path / "restored"
    with pytest.raises(Unavailable, match="recovery target"):
        bases.restore(vault, made, directory, later, None)
    assert list(directory.iterdir()) == []
    with pytest.raises(NotFound, match="DROP DATABASE"):
        bases.restore(vault, made, directory, Target(before_drop=True), None)
    bases.restore(vault, made, directory, Target(), None)
    with opened(vault, made, directory) as url:
        assert count(url) == 2


def test_a_later_moment_than_an_earlier_restore_went_to_needs_the_branch(
    archiving: Archiving, vault: Vault, tmp_path: Path
) -> None:
    """By itself Postgres follows the newest branch, and ends where that left: silently too early."""
    made = bases.base(vault, archiving.url, None, quiet)
    moments = []
    for _ in range(2):
        add_jobs(archiving.url, 2)
        moments.append(servers.ask(archiving.url, "SELECT clock_timestamp()"))
    add_jobs(archiving.url, 2)
    archiving.archive_now()
    first = bases.restore(vault, made, tmp_path / "first", Target(at=moments[0]), None)
    history = first.directory / "pg_wal" / "00000002.history"
    shutil.copy(history, vault.wal)  # as a server does that is started on it
    with pytest.raises(Conflict, match=r"--timeline, 1 .* or 2"):
        bases.restore(vault, made, tmp_path / "second", Target(at=moments[1]), None)
    target = Target(at=moments[1], timeline=1)
    second = bases.restore(vault, made, tmp_path / "second", target, None)
    assert (second.directory / "pg_wal" / "00000003.history").exists()
    with opened(vault, made, second.directory) as url:
        assert count(url) == 4


def test_a_base_is_verified_and_a_gap_in_the_log_is_told(
    archiving: Archiving, vault: Vault, key: Key
) -> None:
    made = bases.base(vault, archiving.url, key.recipient, quiet)
    for _ in range(3):
        add_jobs(archiving.url, 1)
        archiving.archive_now()
    assert verify(vault, made, key.identity).complaints == []
    missing = next(one for one in segments(vault.wal) if one > str(made.wal_start))
    (vault.wal / missing).unlink()
    assert gaps(segments(vault.wal), str(made.wal_start)) == [missing[8:]]
    assert missing[8:] in verify(vault, made, key.identity).complaints[0]
