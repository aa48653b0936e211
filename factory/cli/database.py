"""`factory db …`: the schema."""

from __future__ import annotations

import typer

from factory.cli.exits import ExitCode
from factory.cli.output import JsonOption, print_json, print_lines


def migrate(as_json: JsonOption = False) -> None:
    """Bring the schema to the newest revision. Two at once take turns."""
    from factory.cli.operator import operator_database_url
    from factory.store.migrate import revisions, upgrade

    url = operator_database_url()
    upgrade(url)
    revision, _ = revisions(url)
    print_json({"revision": revision}) if as_json else print_lines([f"schema at {revision}"])


def status(as_json: JsonOption = False) -> None:
    """The schema's revision and the newest one; exits 1 if they differ."""
    from factory.cli.operator import operator_database_url
    from factory.store.migrate import revisions

    revision, newest = revisions(operator_database_url())
    if as_json:
        print_json({"revision": revision, "newest": newest})
    else:
        print_lines([f"schema at {revision or 'nothing'}, newest is {newest}"])
    if revision != newest:
        raise typer.Exit(ExitCode.FAILED)


def create_app() -> typer.Typer:
    """The command group."""
    app = typer.Typer(help="The database's schema.", no_args_is_help=True)
    app.command("migrate")(migrate)
    app.command("status")(status)
    return app
