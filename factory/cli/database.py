"""`factory db …`: the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from factory.cli.after_restore import after_restore
from factory.cli.exits import ExitCode
from factory.cli.output import JsonOption, print_json, print_lines
from factory.domain.principal import PLATFORM


def migrate(
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a database that does not answer.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Bring the schema to the newest revision and register the agents in AGENTS_DIR.

    Two at once take turns.
    """
    from factory.agents.files import register_agents
    from factory.cli.operator import operator_services
    from factory.llm.catalog import load_catalog
    from factory.pipeline.upkeep.startup import await_database
    from factory.store.migrate import revisions, upgrade

    with operator_services() as services:
        settings = services.settings
        await_database(services, wait)
        upgrade(settings.database_url)
        with services.database.transaction(PLATFORM) as tx:
            catalog = load_catalog(settings.extra_models)
            agents = register_agents(tx, catalog, Path(settings.agents_dir))
    revision, _ = revisions(settings.database_url)
    if as_json:
        print_json({"revision": revision, "agents": agents})
    else:
        none = f"none in {Path(settings.agents_dir).resolve()} (AGENTS_DIR)"
        print_lines([f"schema at {revision}", f"agents: {', '.join(agents) or none}"])


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
    app.command("after-restore")(after_restore)
    return app
