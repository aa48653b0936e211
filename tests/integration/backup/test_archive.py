"""The archive of the log: nothing is overwritten, nothing half written counts, what is damaged stops a recovery."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from factory.backup import fetch
from factory.backup.wal import segments
from factory.errors import Misconfigured
from tests.integration.backup.conftest import Key

NAME = "000000010000000000000007"


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    path = tmp_path / "pg_wal" / NAME
    path.parent.mkdir()
    path.write_bytes(b"log" * 100_000)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    path.mkdir()
    return path


def store(archive: Path, segment: Path, *recipient: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(files("factory.backup") / "archive-wal.sh"), str(archive), str(segment)]
    return subprocess.run(
        [*command, segment.name, *recipient], capture_output=True, text=True, check=False
    )


def test_the_same_segment_may_come_twice_and_another_never(archive: Path, segment: Path) -> None:
    assert store(archive, segment).returncode == 0
    assert store(archive, segment).returncode == 0
    kept = segment.read_bytes()
    segment.write_bytes(b"another server's")
    refused = store(archive, segment)
    assert refused.returncode == 1
    assert "with other content" in refused.stderr
    assert (archive / NAME).read_bytes() == kept
    assert sorted(path.name for path in archive.iterdir()) == [NAME, f"{NAME}.sha256"]


def test_what_was_cut_off_is_archived_anew(archive: Path, segment: Path) -> None:
    (archive / f".new.{NAME}.1").write_bytes(b"half")
    store(archive, segment)
    (archive / NAME).unlink()  # killed between the two links
    assert store(archive, segment).returncode == 0
    assert (archive / NAME).read_bytes() == segment.read_bytes()


def test_a_file_system_without_links_will_do(
    archive: Path, segment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as SMB's, or FAT's."""
    refuses = tmp_path / "bin" / "ln"
    refuses.parent.mkdir()
    refuses.write_text("#!/bin/sh\necho 'ln: Operation not supported' >&2\nexit 1\n")
    refuses.chmod(0o755)
    monkeypatch.setenv("PATH", f"{refuses.parent}:{os.environ['PATH']}")
    assert store(archive, segment).returncode == 0
    assert store(archive, segment).returncode == 0
    assert sorted(path.name for path in archive.iterdir()) == [NAME, f"{NAME}.sha256"]
    kept = segment.read_bytes()
    segment.write_bytes(b"another server's")
    assert store(archive, segment).returncode == 1
    assert (archive / NAME).read_bytes() == kept


def test_a_directory_that_is_not_there_is_told(tmp_path: Path, segment: Path) -> None:
    refused = store(tmp_path / "nowhere", segment)
    assert refused.returncode == 1
    assert "is no directory that" in refused.stderr


def test_an_archive_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    assert segments(tmp_path / "nowhere") == []
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="cannot be read"):
        segments(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_closed_archive_is_told(archive: Path) -> None:
    archive.chmod(0)
    with pytest.raises(Misconfigured, match="Permission denied"):
        segments(archive)


def test_a_missing_segment_ends_a_recovery_and_a_damaged_one_stops_it(
    archive: Path, segment: Path, tmp_path: Path
) -> None:
    target = tmp_path / "RECOVERYXLOG"
    assert fetch.main([str(archive), NAME, str(target)]) == fetch.MISSING
    store(archive, segment)
    assert fetch.main([str(archive), NAME, str(target)]) == 0
    assert target.read_bytes() == segment.read_bytes()
    (archive / NAME).write_bytes(b"damaged")
    assert fetch.main([str(archive), NAME, str(target)]) == fetch.UNUSABLE


@pytest.mark.skipif(not shutil.which("age"), reason="needs age: apt-get install age")
def test_an_encrypted_segment_comes_back(
    archive: Path, segment: Path, key: Key, tmp_path: Path
) -> None:
    assert store(archive, segment, key.recipient).returncode == 0
    assert store(archive, segment, key.recipient).returncode == 0
    assert b"loglog" not in (archive / f"{NAME}.age").read_bytes()
    target = tmp_path / "RECOVERYXLOG"
    words = [str(archive), NAME, str(target)]
    assert fetch.main([*words, str(key.identity.path)]) == 0
    assert target.read_bytes() == segment.read_bytes()
    assert fetch.main(words) == fetch.UNUSABLE
