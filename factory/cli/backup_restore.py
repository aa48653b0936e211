"""`factory backup restore`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.after_restore import moment
from factory.cli.backup_place import identity_of, vault_of, vault_settings
from factory.cli.interrupt import one_interrupt
from factory.cli.output import JsonOption, print_json, print_lines
from factory.errors import InvalidInput

if TYPE_CHECKING:
    from factory.backup.base import Target
    from factory.backup.vault import Manifest, Vault
    from factory.config import Settings

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of `factory backup list`, or `latest`.")]


def restore(
    name: Name,
    into: Annotated[
        Path | None, typer.Option("--into", help="Of a base: the data directory to make.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="Of a base: up to this moment.")
    ] = None,
    before_drop: Annotated[
        bool, typer.Option("--before-drop", help="Of a base: up to the last DROP DATABASE.")
    ] = False,
    timeline: Annotated[
        int | None,
        typer.Option(
            "--timeline", min=1, help="Of a base: which branch, where a restore made one."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a dump into DATABASE_URL's server, or a base into a new data directory.

    A dump replaces the database; the one that was there is kept under another name. Afterwards no job goes out
    until `factory db after-restore` has been told what to do.
    """
    from factory.backup.base import Target
    from factory.backup.vault import Kind

    if at and before_drop:
        raise InvalidInput("choose one of --at and --before-drop")
    settings = vault_settings()
    vault = vault_of(settings)
    manifest = vault.find(name, Kind.BASE if into else Kind.DUMP if name == "latest" else None)
    if (manifest.kind is Kind.BASE) != (into is not None):
        raise InvalidInput(f"{manifest.name}: --into goes with a base, and with nothing else")
    with one_interrupt():
        if into:
            target = Target(moment(at, "--at") if at else None, before_drop, timeline)
            _restore_base(vault, manifest, settings, into, target, as_json=as_json)
        else:
            _restore_dump(vault, manifest, settings, as_json=as_json)


def _restore_base(
    vault: Vault,
    manifest: Manifest,
    settings: Settings,
    into: Path,
    target: Target,
    *,
    as_json: bool,
) -> None:
    from factory.backup.base import restore as recover

    made = recover(vault, manifest, into.resolve(), target, identity_of(settings))
    if as_json:
        print_json({"directory": str(into), "restored_to": made.restored_to.isoformat()})
        return
    print_lines(
        [
            f"{into} is the server's data as it was at {made.restored_to:%F %T}Z.",
            "1. Give it to the server's user (chown -R), start Postgres on it, take a new base backup.",
            *_after(),
        ]
    )


def _restore_dump(vault: Vault, manifest: Manifest, settings: Settings, *, as_json: bool) -> None:
    from factory.backup.dump import restore as reload

    done = reload(vault, manifest, settings.libpq_url, identity_of(settings))
    if as_json:
        print_json({**asdict(done), "restored_to": done.restored_to.isoformat()})
        return
    kept = f"; what was there is now {done.kept}" if done.kept else ""
    print_lines(
        [
            f"{done.database} is as it was at {done.restored_to:%F %T}Z{kept}.",
            "1. Restart the programs: they are connected to the old one." if done.kept else "",
            *_after(),
        ]
    )


def _after() -> list[str]:
    return ["2. No job goes out yet: `factory db after-restore` tells which may have ended since."]
