"""Physical backups: the server's files by pg_basebackup, and its archived log to any later moment."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from factory.backup.dump import hold
from factory.backup.programs import (
    SERVICE,
    Programs,
    connecting,
    programs_for,
    programs_of,
    running,
)
from factory.backup.scratch import running_server
from factory.backup.seal import SUFFIX, IdentityFile, Tell, demand_key, pour, seal
from factory.backup.vault import Kind, Manifest, Vault
from factory.backup.wal import last_drop, segments
from factory.errors import Conflict, Misconfigured, NotFound
from factory.store import backups, servers
from factory.store.migrate import upgrade

FILE = "base.tar.gz"


def base(vault: Vault, libpq_url: str, recipient: str | None, tell: Tell) -> Manifest:
    """A new backup of the whole server, with the log that its own begin needs. Raises Unavailable, Misconfigured."""
    found = backups.place(libpq_url)
    started = datetime.now(UTC)
    programs = programs_for(found.server_version // 10_000, "pg_basebackup")
    options = ("--format=tar", "--gzip", "--wal-method=fetch", "--checkpoint=fast", "--no-password")
    command = [str(programs.path("pg_basebackup")), "-D", "-", *options, "-d", f"service={SERVICE}"]
    file = f"{FILE}{SUFFIX if recipient else ''}"
    with vault.new(Kind.BASE) as folder:
        with (
            connecting(servers.connection_parts(libpq_url)) as env,
            running(command, env) as output,
        ):
            sealed = seal(output, folder / file, recipient, tell)
        manifest = Manifest(
            name=folder.stem,
            kind=Kind.BASE,
            at=started,
            finished_at=datetime.now(UTC),
            database=found.database,
            user=found.user,
            server_version=found.server_version,
            file=file,
            size_bytes=sealed.size_bytes,
            sha256=sealed.sha256,
            wal_start=found.segment,
        )
        vault.publish(folder, manifest)
    return manifest


@dataclass(frozen=True, slots=True)
class Target:
    """Up to where the log is replayed: to its end, to a moment, or to just before a database was dropped."""

    at: datetime | None = None
    before_drop: bool = False


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a restore has made."""

    directory: Path
    restored_to: datetime


def restore(
    vault: Vault, manifest: Manifest, directory: Path, target: Target, identity: IdentityFile | None
) -> Recovered:
    """Makes a data directory as the server's was at the target; its jobs are held. Raises FactoryError."""
    programs = server_programs(manifest)
    if target.at and target.at < manifest.finished_at:
        raise NotFound(
            f"{manifest.name} ended at {manifest.finished_at:%F %T}Z: choose an older one",
            param="--at",
        )
    demand_key(vault.file(manifest), identity)
    unpack(vault.file(manifest), directory, identity)
    settings = _recovery(vault, manifest, directory, target, programs, identity)
    with running_server(programs, directory, settings) as sockets:
        url = url_in(sockets, manifest)
        if target.before_drop:
            servers.make_valid(url)
        restored_to = servers.replayed_to(url) or manifest.finished_at
        upgrade(url)
        hold(url, manifest.name, restored_to)
    _archive_histories(directory)
    return Recovered(directory, restored_to)


def _archive_histories(directory: Path) -> None:
    """Has the server archive them when it starts: without its history nobody finds the new timeline again."""
    for history in (directory / "pg_wal").glob("*.history"):
        (directory / "pg_wal" / "archive_status" / f"{history.name}.ready").touch()


def url_in(sockets: Path, manifest: Manifest) -> str:
    """The backup's own database, on a server that trusts everybody."""
    return servers.url_of(host=str(sockets), user=manifest.user, dbname=manifest.database)


def server_programs(manifest: Manifest) -> Programs:
    """The server's own version, which alone can run its data. Raises Misconfigured."""
    programs = programs_of(manifest.major, "postgres")
    if programs is None:
        raise Misconfigured(
            f"{manifest.name} is of Postgres {manifest.major}, and this machine has none: "
            f"apt-get install postgresql-{manifest.major}",
            param="PATH",
        )
    return programs


def unpack(path: Path, directory: Path, identity: IdentityFile | None) -> None:
    """Into a new directory, or one that is empty. Raises Conflict, Unavailable, Misconfigured."""
    if directory.exists() and any(directory.iterdir()):
        raise Conflict(f"{directory} is not empty: nothing is overwritten", param="--into")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        connecting({}) as env,
        running(["tar", "-xzf", "-", "--no-same-owner", "-C", directory], env, feed=True) as tar,
    ):
        pour(path, tar, identity)


def _recovery(
    vault: Vault,
    manifest: Manifest,
    directory: Path,
    target: Target,
    programs: Programs,
    identity: IdentityFile | None,
) -> Mapping[str, str]:
    """Settings of the server that replays. Without an archive it replays what the backup holds."""
    if not segments(vault.wal):
        if target != Target():
            raise NotFound(
                f"{vault.wal} holds no log, so only the backup's own moment can be had: name no target,"
                " and let the server archive from now on (`factory backup archive-command`)"
            )
        return {}
    (directory / "recovery.signal").touch()
    words = [sys.executable, "-P", "-m", "factory.backup.fetch", str(vault.wal), "%f", "%p"]
    words += [str(identity.path)] if identity else []
    command = " ".join(word if word.startswith("%") else quote(word) for word in words)
    settings = {"restore_command": command, "recovery_target_action": "promote"}
    if target.at:
        settings["recovery_target_time"] = target.at.isoformat()
    if target.before_drop:
        assert manifest.wal_start
        drop = last_drop(vault.wal, manifest.wal_start, programs, identity)
        settings["recovery_target_lsn"] = drop
        settings["recovery_target_inclusive"] = "off"
    return settings
