"""The commands as an operator has them: what they print, what they refuse, and what the exporter shows of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from typer import Exit

from factory.cli import backup
from factory.cli.backup_restore import restore
from factory.errors import InvalidInput, Misconfigured, NotFound
from factory.services import Services
from tests.integration.backup.conftest import Key
from tests.integration.store.samples import given_jobs
from workers.exporter import DatabaseCollector


@pytest.fixture(autouse=True)
def environment(
    services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: Key
) -> None:
    """The operator's environment is this test's."""
    settings = services.settings
    for name, value in (
        ("DATABASE_URL", settings.database_url),
        ("REDIS_URL", settings.redis_url),
        ("SECRET_KEY", settings.secret_key),
        ("ALLOW_WEAK_SETTINGS", "true"),
        ("FACTORY_ENV_FILE", ""),
        ("BACKUP_DIR", str(tmp_path / "backups")),
        ("BACKUP_RECIPIENT", key.recipient),
        ("BACKUP_IDENTITY_FILE", str(key.identity.path)),
    ):
        monkeypatch.setenv(name, value)


def scraped(services: Services, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(DatabaseCollector(services))
    return registry.get_sample_value(name, labels)


def test_a_dump_is_listed_verified_shown_and_kept(
    services: Services, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def printed() -> Any:
        return json.loads(capsys.readouterr().out)

    given_jobs(services, 2)
    last = "backup_last_success_timestamp_seconds"
    assert scraped(services, last, kind="dump") == 0
    backup.dump(as_json=True)
    made = printed()
    assert (made["kind"], made["encrypted"]) == ("dump", True)
    assert scraped(services, last, kind="dump") == pytest.approx(
        services_time(made["finished_at"]), abs=1
    )
    backup.verify(as_json=True)
    assert printed()["data"][0]["complaints"] == []
    assert scraped(services, "backup_last_verified_timestamp_seconds", kind="dump")
    backup.listing(as_json=True)
    [shown] = printed()["data"]
    assert (shown["name"], bool(shown["verified_at"])) == (made["name"], True)
    backup.prune(as_json=True)
    assert printed() == {"backups": [], "segments": []}
    (tmp_path / "backups" / made["name"] / made["file"]).write_bytes(b"")
    with pytest.raises(Exit) as end:
        backup.verify()
    assert end.value.exit_code == 1
    assert "NOT GOOD" in capsys.readouterr().out


def services_time(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def test_without_a_recipient_nothing_is_written_unless_one_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BACKUP_RECIPIENT", "")
    with pytest.raises(Misconfigured, match="factory backup key FILE"):
        backup.dump()
    assert not (tmp_path / "backups").exists()


def test_a_recipient_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKUP_RECIPIENT", "age1nonsense")
    with pytest.raises(Misconfigured, match="not an age public key"):
        backup.dump()


def test_what_cannot_be_restored_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no dump"):
        restore("latest")
    with pytest.raises(InvalidInput, match="choose one of --at and --before-drop"):
        restore("latest", at="2026-01-31", before_drop=True)


def test_the_archive_command_encrypts_for_the_recipient(
    key: Key, capsys: pytest.CaptureFixture[str]
) -> None:
    backup.archive_command()
    said = capsys.readouterr().out
    assert "archive_mode = on" in said
    assert f"/backups/wal %p %f {key.recipient}'" in said
    script = said.split("archive_command = 'sh ")[1].split()[0]
    assert Path(script).exists()


def test_a_key_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from factory.errors import Conflict

    path = tmp_path / "new.key"
    backup.key(path)
    assert capsys.readouterr().out.startswith("BACKUP_RECIPIENT=age1")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Conflict, match="never overwritten"):
        backup.key(path)
