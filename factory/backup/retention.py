"""Which backups are removed: those past their time, but never the last good one of a kind, nor what a kept one needs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from factory.backup import wal
from factory.backup.vault import Kind, Manifest, Vault

LEFTOVER_S = 86_400


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed."""

    backups: Sequence[str]
    segments: Sequence[str]


def prune(vault: Vault, keep_days: int) -> Pruned:
    """Removes backups that ended more than so many days ago, and the log that no base needs any more."""
    since = datetime.now(UTC) - timedelta(days=keep_days)
    gone = []
    for kind in Kind:
        found = vault.backups(kind)
        for manifest in old(found, since, _last_verified(vault, found)):
            vault.remove(manifest)
            gone.append(manifest.name)
    _remove_leftovers(vault)
    bases = [one.wal_start for one in vault.backups(Kind.BASE) if one.wal_start]
    segments = wal.prune(vault.wal, min(bases, key=lambda one: one[8:])) if bases else []
    return Pruned(gone, segments)


def old(found: Sequence[Manifest], since: datetime, verified: str | None) -> list[Manifest]:
    """Backups of one kind that may be removed, oldest first: all that ended before, except the newest and the newest
    that was verified.
    """
    kept = {found[-1].name, verified} if found else set()
    return [one for one in found if one.finished_at < since and one.name not in kept]


def _last_verified(vault: Vault, found: Sequence[Manifest]) -> str | None:
    return next((one.name for one in reversed(found) if vault.verified_at(one)), None)


def _remove_leftovers(vault: Vault) -> None:
    """Removes what an interrupted backup has left. A backup that still runs is younger than a day, or writes to its
    folder.
    """
    limit = datetime.now(UTC).timestamp() - LEFTOVER_S
    for folder in vault.leftovers():
        with suppress(FileNotFoundError):  # it has been published meanwhile, or removed by another
            if max(one.stat().st_mtime for one in (folder, *folder.iterdir())) < limit:
                shutil.rmtree(folder)
    for new in vault.wal.glob(".new.*"):
        with suppress(FileNotFoundError):
            if new.stat().st_mtime < limit:
                new.unlink()
