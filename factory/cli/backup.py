"""`factory backup …`: make, verify, list, prune and restore backups of Postgres."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.backup_place import identity_of, vault_of, vault_settings
from factory.cli.backup_restore import Name, restore
from factory.cli.exits import ExitCode
from factory.cli.interrupt import one_interrupt
from factory.cli.output import JsonOption, complain, print_json, print_lines, print_rich
from factory.domain.principal import PLATFORM
from factory.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from factory.backup.retention import Pruned
    from factory.backup.vault import Manifest, Vault
    from factory.services import Services

SAY_EVERY_S = 5.0
MEGA = 1_000_000
Plain = Annotated[
    bool,
    typer.Option("--unencrypted", help="Without BACKUP_RECIPIENT: readable for whoever gets it."),
]

Prune = Annotated[
    bool, typer.Option("--prune", help="Then remove what is too old, as `factory backup prune`.")
]


def dump(
    unencrypted: Plain = False, then_prune: Prune = False, as_json: JsonOption = False
) -> None:
    """Dump the database: one snapshot, compressed and encrypted, its rows counted and summed."""
    from factory.backup.dump import dump as make

    _back_up(make, "dump", unencrypted=unencrypted, then_prune=then_prune, as_json=as_json)


def base(
    unencrypted: Plain = False, then_prune: Prune = False, as_json: JsonOption = False
) -> None:
    """Copy the whole server. With the archived log it can be restored to any later moment.

    Needs a role with REPLICATION, and a line for `replication` in pg_hba.conf.
    """
    from factory.backup.base import base as make

    _back_up(make, "base", unencrypted=unencrypted, then_prune=then_prune, as_json=as_json)


Make = Callable[..., Any]


def _back_up(make: Make, kind: str, *, unencrypted: bool, then_prune: bool, as_json: bool) -> None:
    from factory.backup.retention import prune as remove
    from factory.cli.operator import operator_services
    from factory.store import backups

    with one_interrupt(), operator_services() as services:
        settings = services.settings
        recipient = None if unencrypted else settings.backup_recipient
        if not unencrypted and not recipient:
            raise Misconfigured(
                "BACKUP_RECIPIENT is not set: `factory backup key FILE` makes a key and prints it; "
                "--unencrypted does without",
                param="BACKUP_RECIPIENT",
            )
        manifest = make(vault_of(settings), settings.libpq_url, recipient, _progress(kind))
        with services.database.transaction(PLATFORM) as tx:
            backups.record(tx, kind, manifest.name, manifest.size_bytes, manifest.finished_at)
        pruned = remove(vault_of(settings), settings.backup_keep_days) if then_prune else None
    if as_json:
        print_json({**_document(manifest), **({"pruned": asdict(pruned)} if pruned else {})})
        return
    print_lines([f"{manifest.name}: {_size(manifest.size_bytes)} in {settings.backup_dir}"])
    if pruned:
        _show_pruned(pruned)


def listing(as_json: JsonOption = False) -> None:
    """List the backups, oldest first."""
    from factory.cli.render import table

    vault = vault_of(vault_settings())
    found = vault.backups()
    for error in vault.unreadable():
        complain(error.message)
    if as_json:
        print_json({"data": [_document(one, vault) for one in found]})
    elif not found:
        print_lines([f"no backups in {vault.directory} (BACKUP_DIR)"])
    else:
        columns = ("name", "size", "encrypted", "verified", "database", "postgres")
        print_rich(table(columns, (_cells(one, vault) for one in found)))


def verify(name: Name = "latest", as_json: JsonOption = False) -> None:
    """Restore a backup aside, compare, throw the copy away. `latest` is the newest of each kind.

    Exits 1 if one is not good. Needs as much room in TMPDIR as the database takes.
    """
    from factory.backup.vault import LATEST, Kind
    from factory.backup.verify import verify as check
    from factory.cli.operator import operator_services

    with one_interrupt(), operator_services() as services:
        vault, identity = vault_of(services.settings), identity_of(services.settings)
        kinds = [kind for kind in Kind if vault.backups(kind)] if name == LATEST else [None]
        chosen = [vault.find(name, kind) for kind in kinds] or [vault.find(name)]
        verdicts = []
        for manifest in chosen:
            verdicts.append(check(vault, manifest, identity))
            if not verdicts[-1].complaints:
                _tell_database(services, manifest)
    if as_json:
        print_json({"data": [asdict(one) for one in verdicts]})
    else:
        for one in verdicts:
            good = f"good: {one.rows:,} rows in {one.tables} tables came back"
            print_lines([f"{one.name}: {'NOT GOOD' if one.complaints else good}", *one.complaints])
    if any(one.complaints for one in verdicts):
        raise typer.Exit(ExitCode.FAILED)


def _tell_database(services: Services, manifest: Manifest) -> None:
    """Records the time for the alert. Where backups are verified, the database may be out of reach."""
    from factory.store import backups

    try:
        with services.database.transaction(PLATFORM) as tx:
            backups.record_verified(tx, manifest.kind, manifest.name)
    except Unavailable as error:
        complain(f"the database was not told of it: {error.message}")


def prune(as_json: JsonOption = False) -> None:
    """Remove backups that are older than BACKUP_KEEP_DAYS, and the log that no kept one needs."""
    from factory.backup.retention import prune as remove

    settings = vault_settings()
    vault = vault_of(settings)
    pruned = remove(vault, settings.backup_keep_days)
    for error in vault.unreadable():
        complain(error.message)
    if as_json:
        print_json(asdict(pruned))
    else:
        _show_pruned(pruned)


def _show_pruned(pruned: Pruned) -> None:
    print_lines([*(f"removed {one}" for one in pruned.backups)])
    print_lines([f"{len(pruned.backups)} backups and {len(pruned.segments)} segments removed"])


def key(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Takes the secret key; must not exist.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Make a key pair: the secret one goes to FILE, the public one is printed for BACKUP_RECIPIENT.

    Keep FILE elsewhere than the backups: without it nobody reads them, you neither.
    """
    from factory.backup.seal import create_identity

    recipient = create_identity(file)
    if as_json:
        print_json({"recipient": recipient, "identity_file": str(file)})
    else:
        print_lines([f"BACKUP_RECIPIENT={recipient}"])


def archive_command(as_json: JsonOption = False) -> None:
    """Print the lines of postgresql.conf that archive the server's log into BACKUP_DIR/wal."""
    from factory.backup import wal

    settings = vault_settings()
    command = wal.archive_command(vault_of(settings).wal.resolve(), settings.backup_recipient)
    if as_json:
        print_json({"archive_command": command})
    else:
        # Within quotes, postgresql.conf takes a backslash as the begin of an escape.
        written = command.replace("\\", "\\\\").replace("'", "''")
        lines = ("archive_mode = on", f"archive_command = '{written}'", "archive_timeout = 60s")
        print_lines(["wal_level = replica", *lines])


def _progress(kind: str) -> Callable[[int], None]:
    """A line on stderr every 5 s."""
    says_next = time.monotonic() + SAY_EVERY_S

    def tell(read_bytes: int) -> None:
        nonlocal says_next
        if time.monotonic() >= says_next:
            says_next = time.monotonic() + SAY_EVERY_S
            sys.stderr.write(f"{kind}: {_size(read_bytes)} so far\n")

    return tell


def _document(manifest: Manifest, vault: Vault | None = None) -> dict[str, Any]:
    shown = asdict(manifest) | {"encrypted": manifest.encrypted}
    del shown["sums"]
    if vault:
        verified = vault.verified_at(manifest)
        shown["verified_at"] = verified and verified.isoformat()
    return {**shown, "at": manifest.at.isoformat(), "finished_at": manifest.finished_at.isoformat()}


def _cells(manifest: Manifest, vault: Vault) -> tuple[object, ...]:
    verified = vault.verified_at(manifest)
    return (
        manifest.name,
        _size(manifest.size_bytes),
        "yes" if manifest.encrypted else "no",
        f"{verified:%F %T}" if verified else "never",
        manifest.database,
        manifest.major,
    )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / MEGA:,.1f} MB"


def create_app() -> typer.Typer:
    """The command group."""
    app = typer.Typer(help="Backups of Postgres.", no_args_is_help=True)
    for name, command in (
        ("key", key),
        ("dump", dump),
        ("base", base),
        ("archive-command", archive_command),
        ("list", listing),
        ("verify", verify),
        ("prune", prune),
        ("restore", restore),
    ):
        app.command(name)(command)
    return app
