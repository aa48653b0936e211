"""Logical backups: pg_dump's custom format, of one snapshot, with a count and a checksum of each table's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from factory.backup.programs import SERVICE, connecting, programs_for, running
from factory.backup.seal import SUFFIX, IdentityFile, Tell, demand_key, pour, seal
from factory.backup.vault import Kind, Manifest, Vault
from factory.domain.principal import PLATFORM
from factory.errors import Unavailable
from factory.store import backups, servers
from factory.store.backups import Snapshot
from factory.store.database import Database
from factory.store.migrate import upgrade
from factory.store.restores import mark

FILE = "database.dump"
COMPRESSION = "6"


def dump(vault: Vault, libpq_url: str, recipient: str | None, tell: Tell) -> Manifest:
    """A new backup of the database. Raises Unavailable, Misconfigured."""
    with vault.new(Kind.DUMP) as folder, backups.snapshot(libpq_url) as snapshot:
        file = f"{FILE}{SUFFIX if recipient else ''}"
        programs = programs_for(snapshot.server_version // 10_000, "pg_dump")
        options = ("--format=custom", f"--compress={COMPRESSION}", f"--snapshot={snapshot.id}")
        command = [str(programs.path("pg_dump")), *options, f"--dbname=service={SERVICE}"]
        with (
            connecting(servers.connection_parts(libpq_url)) as env,
            running(command, env) as output,
        ):
            sealed = seal(output, folder / file, recipient, tell)
        manifest = _manifest(folder, snapshot, file, sealed.size_bytes, sealed.sha256)
        vault.publish(folder, manifest)
    return manifest


def _manifest(
    folder: Path, snapshot: Snapshot, file: str, size_bytes: int, sha256: str
) -> Manifest:
    return Manifest(
        name=folder.stem,
        kind=Kind.DUMP,
        at=snapshot.at,
        finished_at=datetime.now(UTC),
        database=snapshot.database,
        user=snapshot.user,
        server_version=snapshot.server_version,
        file=file,
        size_bytes=size_bytes,
        sha256=sha256,
        revision=snapshot.revision,
        sums={name: asdict(one) for name, one in snapshot.sums.items()},
    )


def load(
    path: Path, parts: Mapping[str, str], major: int, identity: IdentityFile | None, *, owners: bool
) -> None:
    """Fills an empty database from a dump, all or nothing. Raises Unavailable, Misconfigured."""
    command = [
        programs_for(major, "pg_restore").path("pg_restore"),
        "--exit-on-error",
        "--single-transaction",
        *(() if owners else ("--no-owner", "--no-privileges")),
        f"--dbname=service={SERVICE}",
    ]
    with connecting(parts) as env, running(command, env, feed=True) as source:
        pour(path, source, identity)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore has done."""

    database: str
    kept: str | None
    """The name of the database that was there before."""
    restored_to: datetime


def restore(
    vault: Vault, manifest: Manifest, libpq_url: str, identity: IdentityFile | None
) -> Restored:
    """Restores into a new database beside the present one, holds its jobs, and only then swaps their names. The
    earlier database is kept. Raises Unavailable, Misconfigured.
    """
    demand_key(vault.file(manifest), identity)
    parts = servers.connection_parts(libpq_url)
    name = parts.get("dbname") or parts.get("user") or manifest.database
    new = servers.name_beside(name, "_restoring")
    servers.drop_database(libpq_url, new)
    servers.create_database(libpq_url, new)
    try:
        target = servers.with_database(libpq_url, new)
        major = servers.server_version(target) // 10_000
        load(vault.file(manifest), servers.connection_parts(target), major, identity, owners=True)
        if lost := differences(manifest, backups.sums(target)):
            raise Unavailable(f"what was restored is not what was dumped: {'; '.join(lost)}")
        upgrade(target)
        servers.analyze(target)
        hold(target, manifest.name, manifest.at)
        kept = servers.replace_database(libpq_url, name, new)
    # Whatever stopped it, even a signal: no half-restored database may stay behind.
    except BaseException:
        servers.drop_database(libpq_url, new)
        raise
    return Restored(name, kept, manifest.at)


def hold(libpq_url: str, backup: str, restored_to: datetime) -> None:
    """Holds the jobs of the database: none is dispatched until an operator has decided."""
    database = Database(libpq_url, pool_size=1, process="restore")
    try:
        with database.transaction(PLATFORM) as tx:
            mark(tx, backup, restored_to)
    finally:
        database.close()


def differences(manifest: Manifest, found: Mapping[str, backups.Sum]) -> list[str]:
    """A line for each table that differs from what was dumped."""
    wanted = {name: backups.Sum(**one) for name, one in manifest.sums.items()}
    return [
        f"{name}: {found.get(name)} instead of {wanted.get(name)}"
        for name in sorted(wanted.keys() | found.keys())
        if wanted.get(name) != found.get(name)
    ]
