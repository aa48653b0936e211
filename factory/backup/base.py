"""Physical backups: the server's files by pg_basebackup, and its archived log to any later moment."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

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
from factory.backup.wal import last_drop, literal, segments, timeline_of, timelines
from factory.errors import Conflict, Misconfigured, NotFound
from factory.store import backups, servers
from factory.store.migrate import upgrade

FILE = "base.tar.gz"


def base(vault: Vault, libpq_url: str, recipient: str | None, tell: Tell) -> Manifest:
    """A new backup of the whole server, with the part of the log that makes it consistent. Raises Unavailable,
    Misconfigured.
    """
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
    """How far the log is replayed: to its end, to a moment, or to just before a database was dropped."""

    at: datetime | None = None
    before_drop: bool = False
    timeline: int | None = None
    """Which branch of the log is followed; None: the newest."""

    @property
    def is_end(self) -> bool:
        return self.at is None and not self.before_drop


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a restore has made."""

    directory: Path
    restored_to: datetime


def restore(
    vault: Vault, manifest: Manifest, directory: Path, target: Target, identity: IdentityFile | None
) -> Recovered:
    """Makes a data directory as the server's was at the target, and holds its jobs. Raises FactoryError."""
    programs = server_programs(manifest)
    if target.at and target.at < manifest.finished_at:
        raise NotFound(
            f"{manifest.name} ended at {manifest.finished_at:%F %T}Z: choose an older one",
            param="--at",
        )
    demand_key(vault.file(manifest), identity)
    with _new(directory):
        settings = _recovery(vault, manifest, target, programs, identity)
        unpack(vault.file(manifest), directory, identity)
        if settings:
            (directory / "recovery.signal").touch()
        with running_server(programs, directory, settings) as sockets:
            url = url_in(sockets, manifest)
            if target.before_drop:
                servers.make_valid(url)
            restored_to = servers.replayed_to(url) or manifest.finished_at
            upgrade(url)
            hold(url, manifest.name, restored_to)
        _archive_histories(directory)
    return Recovered(directory, restored_to)


@contextmanager
def _new(directory: Path) -> Iterator[None]:
    """A new or empty directory; if the block fails, it is left empty. Raises Conflict, Misconfigured."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise Conflict(f"{directory} is not empty: nothing is overwritten", param="--into")
    except OSError as error:
        reason = f"{directory} cannot be made: {error.strerror}"
        raise Misconfigured(reason, param="--into") from None
    try:
        yield
    # Whatever stopped the block, even a signal: the directory is left empty, as it was.
    except BaseException:
        for one in directory.iterdir():
            shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
        raise


def _archive_histories(directory: Path) -> None:
    """Has the server archive the timelines' history files when it starts: without its history nobody finds the new
    timeline again.
    """
    for history in (directory / "pg_wal").glob("*.history"):
        (directory / "pg_wal" / "archive_status" / f"{history.name}.ready").touch()


def url_in(sockets: Path, manifest: Manifest) -> str:
    """The URL of the backup's database on a scratch server, which asks for no password."""
    return servers.url_of(host=str(sockets), user=manifest.user, dbname=manifest.database)


def server_programs(manifest: Manifest) -> Programs:
    """Postgres' programs of the backup's own version, the only one that can run its data. Raises Misconfigured."""
    programs = programs_of(manifest.major, "postgres")
    if programs is None:
        raise Misconfigured(
            f"{manifest.name} is of Postgres {manifest.major}, and this machine has none: "
            f"apt-get install postgresql-{manifest.major}",
            param="PATH",
        )
    return programs


def unpack(path: Path, directory: Path, identity: IdentityFile | None) -> None:
    """Unpacks the backup into an empty directory. Raises Unavailable, Misconfigured."""
    with (
        connecting({}) as env,
        running(["tar", "-xzf", "-", "--no-same-owner", "-C", directory], env, feed=True) as tar,
    ):
        pour(path, tar, identity)


def _recovery(
    vault: Vault,
    manifest: Manifest,
    target: Target,
    programs: Programs,
    identity: IdentityFile | None,
) -> Mapping[str, str]:
    """Settings of the server that replays. Without an archive it replays what the backup holds."""
    if not segments(vault.wal):
        if not target.is_end:
            raise NotFound(
                f"{vault.wal} holds no log, so only the backup's own moment can be had: name no target,"
                " and let the server archive from now on (`factory backup archive-command`)"
            )
        return {}
    _demand_branch(vault, manifest, target)
    words = [sys.executable, "-P", "-m", "factory.backup.fetch", str(vault.wal)]
    key = [str(identity.path)] if identity else []
    command = " ".join([*map(literal, words), "%f", "%p", *map(literal, key)])
    settings = {"restore_command": command, "recovery_target_action": "promote"}
    if target.timeline:
        settings["recovery_target_timeline"] = str(target.timeline)
    if target.at:
        settings["recovery_target_time"] = target.at.isoformat()
    if target.before_drop:
        assert manifest.wal_start
        drop = last_drop(vault.wal, manifest.wal_start, programs, identity, target.timeline)
        settings["recovery_target_lsn"] = drop
        settings["recovery_target_inclusive"] = "off"
    return settings


def _demand_branch(vault: Vault, manifest: Manifest, target: Target) -> None:
    """Raises Conflict if an earlier restore began another branch of the log. By default Postgres follows the newest
    branch. If that began before the target, recovery would silently end there.
    """
    own = timeline_of(manifest.wal_start or "")
    newer = [one for one in timelines(vault.wal) if one > own]
    if newer and not target.is_end and target.timeline is None:
        raise Conflict(
            f"the log has branched since {manifest.name}, by an earlier restore: name the branch with --timeline, "
            f"{own} (the backup's own) or {', '.join(map(str, newer))}",
            param="--timeline",
        )
