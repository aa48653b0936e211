"""The directory of backups: each in a folder of its own, which appears under its name when it is whole.

dump-20260131T020000Z/  database.dump.age  manifest.json  [verified.json]
base-20260131T030000Z/  base.tar.gz.age    manifest.json
wal/                    what the server archives
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from factory.backup.seal import SUFFIX
from factory.errors import Conflict, Misconfigured, NotFound

MANIFEST, VERIFIED = "manifest.json", "verified.json"
FORMAT = 1
NAME = re.compile(r"(dump|base)-\d{8}T\d{6}Z")
PARTIAL = ".partial"
LATEST = "latest"
MALFORMED = (ValueError, KeyError, TypeError)
"""What reading a damaged document raises."""


class Kind(StrEnum):
    """How a backup was made."""

    DUMP = "dump"
    """Logical: one database, which any newer Postgres can restore."""
    BASE = "base"
    """Physical: the whole server; with the archived log it can be restored to any later moment."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description that is stored beside a backup. Holds no secrets."""

    name: str
    kind: Kind
    at: datetime
    """The moment that a dump shows, or when a base began."""
    finished_at: datetime
    database: str
    user: str
    server_version: int
    file: str
    size_bytes: int
    sha256: str
    """The SHA-256 of the file as stored."""
    revision: str | None = None
    sums: Mapping[str, Any] = field(default_factory=dict)
    """By table: rows and checksum, in the dump's own snapshot."""
    wal_start: str | None = None
    """The first segment that a base needs."""
    format: int = FORMAT

    @property
    def encrypted(self) -> bool:
        return self.file.endswith(SUFFIX)

    @property
    def major(self) -> int:
        """Of the server."""
        return self.server_version // 10_000


class Vault:
    """Makes, finds and removes backups in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def wal(self) -> Path:
        """Where the server archives its log."""
        return self.directory / "wal"

    @contextmanager
    def new(self, kind: Kind) -> Iterator[Path]:
        """A folder to fill and `publish` in the block; it is removed if the block does not publish it. Raises
        Misconfigured.
        """
        name = f"{kind}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        if (self.directory / name).exists():
            raise Conflict(f"{name} exists: a second has not passed since", code="backup_exists")
        folder = self.directory / f"{name}{PARTIAL}"
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise Misconfigured(
                f"BACKUP_DIR {self.directory} cannot be written to: {error.strerror}",
                param="BACKUP_DIR",
            ) from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path, manifest: Manifest) -> None:
        """Makes the folder a backup: its content is complete."""
        _write(folder / MANIFEST, asdict(manifest))
        _sync(folder)
        os.rename(folder, self.directory / manifest.name)
        _sync(self.directory)

    def backups(self, kind: Kind | None = None) -> list[Manifest]:
        """All backups, oldest first. One that cannot be read is skipped, so that it does not hide the others."""
        found = []
        for name in self._names(kind):
            with suppress(Misconfigured):
                found.append(_read(self.directory / name / MANIFEST))
        return sorted(found, key=lambda one: one.finished_at)

    def unreadable(self) -> list[Misconfigured]:
        """Why each backup that is skipped cannot be read."""
        found = []
        for name in self._names():
            try:
                _read(self.directory / name / MANIFEST)
            except Misconfigured as error:
                found.append(error)
        return found

    def _names(self, kind: Kind | None = None) -> list[str]:
        places = self.directory.glob(f"{kind or '*'}-*/{MANIFEST}")
        return sorted(p.parent.name for p in places if NAME.fullmatch(p.parent.name))

    def find(self, name: str, kind: Kind | None = None) -> Manifest:
        """By its name, or the newest of the kind. Raises NotFound, and Misconfigured for one that cannot be read."""
        if name in self._names():
            _read(self.directory / name / MANIFEST)
        found = [one for one in self.backups(kind) if name in (LATEST, one.name)]
        if not found:
            what = f"no {kind or 'backup'}" if name == LATEST else f"no backup {name!r}"
            raise NotFound(f"there is {what} in {self.directory} (BACKUP_DIR)", param="NAME")
        return found[-1]

    def file(self, manifest: Manifest) -> Path:
        """The file with its content."""
        return self.directory / manifest.name / manifest.file

    def mark_verified(self, manifest: Manifest) -> None:
        """Notes that the backup was restored and compared."""
        place = self.directory / manifest.name
        _write(place / VERIFIED, {"verified_at": datetime.now(UTC)})
        _sync(place)

    def verified_at(self, manifest: Manifest) -> datetime | None:
        """When it was last verified; None if it was not, or if the note cannot be read."""
        place = self.directory / manifest.name / VERIFIED
        try:
            return datetime.fromisoformat(json.loads(place.read_text())["verified_at"])
        except (OSError, *MALFORMED):
            return None

    def remove(self, manifest: Manifest) -> None:
        """Removes the manifest first, so that a half-removed folder is never taken for a backup. Others may remove it
        at the same time.
        """
        place = self.directory / manifest.name
        with suppress(FileNotFoundError):
            (place / MANIFEST).unlink(missing_ok=True)
            _sync(place)
            shutil.rmtree(place)

    def leftovers(self) -> list[Path]:
        """Folders left by interrupted backups and interrupted removals."""
        folders = [one for one in self.directory.glob("*-*") if one.is_dir()]
        return [
            one
            for one in folders
            if NAME.fullmatch(one.name.removesuffix(PARTIAL)) and not (one / MANIFEST).exists()
        ]


def _write(path: Path, document: Mapping[str, Any]) -> None:
    with path.open("w") as file:
        json.dump(document, file, indent=1, default=_plain)
        file.flush()
        os.fsync(file.fileno())


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _read(path: Path) -> Manifest:
    try:
        found = json.loads(path.read_text())
        if found["format"] > FORMAT:
            raise Misconfigured(f"{path} was written by a newer version: update this one")
        for name in ("at", "finished_at"):
            found[name] = datetime.fromisoformat(found[name])
        return Manifest(**{**found, "kind": Kind(found["kind"])})
    except (OSError, *MALFORMED) as error:
        raise Misconfigured(f"{path} cannot be read ({error}): move its folder away") from None


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
