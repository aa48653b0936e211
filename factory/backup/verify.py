"""Verifies a backup: restores it into a temporary server and compares it with what it should hold."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from factory.backup.base import server_programs, unpack, url_in
from factory.backup.dump import differences, load
from factory.backup.programs import connecting, run
from factory.backup.scratch import running_server
from factory.backup.seal import IdentityFile, demand_key, sum_of
from factory.backup.vault import Kind, Manifest, Vault
from factory.backup.wal import gaps, segment_bytes, segments
from factory.embedded.postgres import EmbeddedPostgres
from factory.store import backups, servers

THROWN_AWAY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found."""

    name: str
    tables: int = 0
    rows: int = 0
    complaints: Sequence[str] = ()
    """None for a good backup."""


def verify(vault: Vault, manifest: Manifest, identity: IdentityFile | None) -> Verdict:
    """Restores the backup aside, and notes beside it if it is good. Raises Unavailable, Misconfigured."""
    path = vault.file(manifest)
    if not path.exists() or sum_of(path).sha256 != manifest.sha256:
        return Verdict(manifest.name, complaints=[f"{path} is missing, or not as it was written"])
    demand_key(path, identity)
    check = _check_dump if manifest.kind is Kind.DUMP else _check_base
    with tempfile.TemporaryDirectory(prefix="factory-verify-") as place:
        verdict = check(vault, manifest, identity, Path(place))
    if not verdict.complaints:
        vault.mark_verified(manifest)
    return verdict


def _check_dump(
    vault: Vault, manifest: Manifest, identity: IdentityFile | None, place: Path
) -> Verdict:
    server = EmbeddedPostgres(place / "server", THROWN_AWAY)
    url = server.start()
    try:
        parts = servers.connection_parts(url)
        major = servers.server_version(url) // 10_000
        load(vault.file(manifest), parts, major, identity, owners=False)
        found = backups.sums(url)
    finally:
        server.stop()
    return _verdict(manifest, found, differences(manifest, found))


def _check_base(
    vault: Vault, manifest: Manifest, identity: IdentityFile | None, place: Path
) -> Verdict:
    programs = server_programs(manifest)
    data = place / "data"
    data.mkdir(mode=0o700)
    unpack(vault.file(manifest), data, identity)
    with connecting({}) as env:
        run([programs.path("pg_verifybackup"), data], env)
    with running_server(programs, data, THROWN_AWAY) as sockets:
        found = backups.sums(url_in(sockets, manifest))
    return _verdict(manifest, found, _log_gaps(vault, manifest))


def _log_gaps(vault: Vault, manifest: Manifest) -> list[str]:
    """Gaps in the archived log. A log that is not archived at all is no fault: the backup then restores its own moment
    only.
    """
    names = segments(vault.wal)
    if not names or manifest.wal_start is None:
        return []
    missing = gaps(names, manifest.wal_start, segment_bytes(vault.wal, names))
    return [f"{vault.wal} has no segment …{one}: later moments cannot be had" for one in missing]


def _verdict(
    manifest: Manifest, found: Mapping[str, backups.Sum], complaints: Sequence[str]
) -> Verdict:
    return Verdict(manifest.name, len(found), sum(one.rows for one in found.values()), complaints)
