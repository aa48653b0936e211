"""A dump is made, read back, compared, restored in place of the database, and refused when it is damaged."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command

from factory.backup import dump as dumps
from factory.backup.retention import prune
from factory.backup.seal import seal
from factory.backup.vault import Vault
from factory.backup.verify import verify
from factory.domain.state import State
from factory.errors import Misconfigured, Unavailable
from factory.services import Services
from factory.store import restores, servers
from factory.store.migrate import upgrade
from tests.integration.backup.conftest import Key
from tests.integration.migrations.test_migrations import config
from tests.integration.retention.past import given_archived
from tests.integration.retention.test_owners import fill_in, unowned
from tests.integration.store.samples import ask, given_jobs


def quiet(_read_bytes: int) -> None:
    """No progress."""


def test_a_dump_comes_back_whole(services: Services, vault: Vault, key: Key) -> None:
    given_jobs(services, 5)
    made = dumps.dump(vault, services.settings.libpq_url, key.recipient, quiet)
    assert made.sums["jobs"]["rows"] == 5
    assert made.encrypted
    assert b"PGDMP" not in vault.file(made).read_bytes()[:200]
    given_jobs(services, 2)  # later, and so not in it
    found = verify(vault, made, key.identity)
    assert (found.complaints, found.rows > 5) == ([], True)
    assert vault.verified_at(vault.find("latest")) is not None


def test_a_restore_replaces_the_database_and_keeps_the_one_that_was_there(
    services: Services, vault: Vault, key: Key, swept: None
) -> None:
    url = services.settings.libpq_url
    before = given_jobs(services, 3)
    made = dumps.dump(vault, url, key.recipient, quiet)
    given_jobs(services, 2)
    restored = dumps.restore(vault, made, url, key.identity)
    services.database.close()
    assert {row.id for row in ask(services, "SELECT id FROM jobs")} == set(before)
    assert restored.kept is not None
    assert restored.kept.startswith(restored.database)
    with services.database.transaction() as tx:
        [held] = restores.undecided(tx)
    assert (held.backup, held.restored_to) == (made.name, made.at)


def test_a_backup_of_before_each_row_had_a_project_is_filled_in(
    services: Services, vault: Vault, database_url: str, swept: None
) -> None:
    url = services.settings.libpq_url
    given_archived(services, State.FAILED)
    given_jobs(services, 1)
    command.downgrade(config(database_url), "0014")
    made = dumps.dump(vault, url, None, quiet)
    dumps.restore(vault, made, url, None)
    services.database.close()
    upgrade(database_url)
    lacking = unowned(services)
    assert lacking["job_contents"] == lacking["job_requests"] == 1
    fill_in(services)
    assert set(unowned(services).values()) == {0}


def test_a_dropped_database_is_made_again(
    services: Services, vault: Vault, key: Key, swept: None
) -> None:
    url = services.settings.libpq_url
    given_jobs(services, 3)
    made = dumps.dump(vault, url, None, quiet)
    services.database.close()
    servers.drop_database(url, servers.connection_parts(url)["dbname"])
    assert dumps.restore(vault, made, url, None).kept is None
    assert len(ask(services, "SELECT id FROM jobs")) == 3


def test_a_damaged_dump_is_noticed_and_nothing_is_replaced(
    services: Services, vault: Vault, key: Key
) -> None:
    url = services.settings.libpq_url
    given_jobs(services, 3)
    made = dumps.dump(vault, url, key.recipient, quiet)
    content = bytearray(vault.file(made).read_bytes())
    content[len(content) // 2] ^= 1
    vault.file(made).write_bytes(content)
    assert "not as it was written" in verify(vault, made, key.identity).complaints[0]
    with pytest.raises((Misconfigured, Unavailable)):
        dumps.restore(vault, made, url, key.identity)
    assert len(ask(services, "SELECT id FROM jobs")) == 3
    gone = "SELECT count(*) AS n FROM pg_database WHERE datname LIKE '%%_restoring'"
    assert ask(services, gone)[0].n == 0


def test_without_the_key_or_with_another_nothing_is_read(
    services: Services, vault: Vault, key: Key, tmp_path: Path
) -> None:
    from factory.backup.seal import IdentityFile, create_identity

    made = dumps.dump(vault, services.settings.libpq_url, key.recipient, quiet)
    with pytest.raises(Misconfigured, match="BACKUP_IDENTITY_FILE is not set"):
        verify(vault, made, None)
    create_identity(tmp_path / "other.key")
    with pytest.raises(Misconfigured, match="does not open"):
        verify(vault, made, IdentityFile(tmp_path / "other.key"))


def test_a_damaged_manifest_hides_no_other_backup(
    services: Services, vault: Vault, key: Key
) -> None:
    url = services.settings.libpq_url
    good = dumps.dump(vault, url, None, quiet)
    broken = vault.directory / "dump-20260101T000000Z"
    broken.mkdir()
    for content in ("", "{}", '{"format": 99}', "[]", "\0"):
        (broken / "manifest.json").write_text(content)
        assert [one.name for one in vault.backups()] == [good.name]
        assert vault.find("latest") == good
        [reason] = vault.unreadable()
        assert str(broken) in reason.message
        with pytest.raises(Misconfigured, match=broken.name):
            vault.find(broken.name)
    assert prune(vault, 1).backups == []
    (vault.directory / good.name / "verified.json").write_text("{")
    assert vault.verified_at(good) is None


def test_a_database_with_the_longest_name_is_restored_and_kept(
    services: Services, vault: Vault
) -> None:
    """Postgres cuts a longer name off: `NAME_restoring` would be the database itself."""
    url = services.settings.libpq_url
    name = f"{servers.connection_parts(url)['dbname']}_{'x' * 63}"[:63]
    servers.create_database(url, name)
    long = servers.with_database(url, name)
    kept = None
    try:
        upgrade(long)
        made = dumps.dump(vault, long, None, quiet)
        kept = dumps.restore(vault, made, long, None).kept
        assert kept is not None
        assert len(kept) == len(name)
        found = "SELECT count(*) FROM pg_database WHERE datname IN (%s, %s)"
        assert servers.ask(url, found, name, kept) == 2
    finally:
        for one in filter(None, (name, kept)):
            servers.drop_database(url, one)


def test_sums_do_not_hang_on_the_styles_of_a_server(services: Services, vault: Vault) -> None:
    url = services.settings.libpq_url
    given_jobs(services, 2)
    name = servers.connection_parts(url)["dbname"]
    for style in ("datestyle = 'German'", "intervalstyle = 'iso_8601'", "bytea_output = 'escape'"):
        servers.tell(url, f'ALTER DATABASE "{name}" SET {style}')
    made = dumps.dump(vault, url, None, quiet)
    assert verify(vault, made, None).complaints == []


class FullDisk(io.RawIOBase):
    """Fails in the middle, as a file does whose disk has no room."""

    def read(self, _size: int = -1) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_full_disk_is_told(key: Key, tmp_path: Path, encrypted: bool) -> None:
    recipient = key.recipient if encrypted else None
    with pytest.raises(Unavailable, match=r"cannot be written: .*No space left"):
        seal(FullDisk(), tmp_path / "dump", recipient, quiet)


def test_a_dump_that_breaks_leaves_nothing(vault: Vault, key: Key) -> None:
    with pytest.raises(Unavailable, match="database"):
        dumps.dump(vault, "postgresql://x@127.0.0.1:1/none", key.recipient, quiet)
    assert vault.backups() == []
    assert vault.leftovers() == []


@pytest.fixture
def swept(services: Services) -> Iterator[None]:
    """Databases that a restore has kept go with the test's own."""
    url = services.settings.libpq_url
    name = servers.connection_parts(url)["dbname"]
    yield
    services.database.close()
    kept = servers.ask(
        servers.with_database(url, servers.MAINTENANCE),
        "SELECT string_agg(datname, ',') FROM pg_database WHERE datname LIKE %s",
        f"{name}_before_%",
    )
    for one in (kept or "").split(","):
        if one:
            servers.drop_database(url, one)
