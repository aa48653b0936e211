"""`factory keys …`: API keys and the webhook secret of a project. Needs access to the database."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.output import JsonOption, print_json, print_lines, print_rich
from factory.domain.access import Scope
from factory.domain.principal import PLATFORM
from factory.errors import NotFound

if TYPE_CHECKING:
    from uuid import UUID

    from factory.store.database import Tx
    from factory.store.keys import KeyView


ProjectOption = Annotated[str, typer.Option("--project", help="By name.")]
DEFAULT_PROJECT = "default"


def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    project: ProjectOption = DEFAULT_PROJECT,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="May be repeated; jobs by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key, and the project if there is none. The key is shown this once."""
    from factory.cli.operator import operator_services
    from factory.store import keys, projects

    scopes = [one.value for one in scope or [Scope.JOBS]]
    with operator_services() as services, services.database.transaction(PLATFORM) as tx:
        project_id = projects.ensure(tx, project).id
        settings = services.settings
        key = keys.create(
            tx,
            settings.secret_key,
            project_id,
            name,
            scopes,
            previous=settings.previous_secrets,
        )
    document = {"key": key, "name": name, "project": project, "scopes": scopes}
    print_json(document) if as_json else print_lines([key])


def list_keys(project: ProjectOption = DEFAULT_PROJECT, as_json: JsonOption = False) -> None:
    """The keys of a project, without their secrets."""
    from factory.cli.operator import operator_services
    from factory.cli.render import table
    from factory.store import keys

    with operator_services() as services, services.database.transaction(PLATFORM) as tx:
        listed = [_as_dict(key) for key in keys.listed(tx, _project_id(tx, project))]
    if as_json:
        print_json({"object": "list", "data": listed})
        return
    columns = ("prefix", "name", "scopes", "created_at", "expires_at", "revoked_at")
    print_rich(table(columns, ([_cell(name, key[name]) for name in columns] for key in listed)))


def revoke_key(
    prefix: Annotated[str, typer.Argument(help="The part between the underscores.")],
    project: ProjectOption = DEFAULT_PROJECT,
    as_json: JsonOption = False,
) -> None:
    """End a key. Gateways may believe it for another 30 s."""
    from factory.cli.operator import operator_services
    from factory.store import keys

    with operator_services() as services, services.database.transaction(PLATFORM) as tx:
        if not keys.revoke(tx, _project_id(tx, project), prefix):
            raise NotFound(f"{project} has no live key {prefix!r}: see `factory keys list`")
    print_json({"prefix": prefix, "revoked": True}) if as_json else print_lines(
        [f"revoked {prefix}"]
    )


def show_webhook_secret(
    project: ProjectOption = DEFAULT_PROJECT, as_json: JsonOption = False
) -> None:
    """The secret that signs a project's webhooks (Standard Webhooks).

    While SECRET_KEY is replaced the earlier one follows: each delivery carries the signatures of both.
    """
    from factory.cli.operator import operator_services
    from factory.webhooks.sign import derive_secrets

    with operator_services() as services, services.database.transaction(PLATFORM) as tx:
        project_id = _project_id(tx, project)
    secret, *previous = derive_secrets(services.settings, str(project_id))
    if as_json:
        print_json({"project": project, "secret": secret, "previous_secrets": previous})
    else:
        print_lines([secret, *previous])


def _project_id(tx: Tx, name: str) -> UUID:
    from factory.store import projects

    found = projects.find(tx, name)
    if found is None:
        raise NotFound(f"there is no project {name!r}", param="project")
    return found.id


def _as_dict(key: KeyView) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(key).items()
    } | {"id": str(key.id), "project_id": str(key.project_id)}


def _cell(name: str, value: Any) -> str:
    from factory.cli.render import moment

    if isinstance(value, list):
        return ",".join(value)
    if name.endswith("_at") and value:
        return moment(value)
    return "-" if value is None else str(value)


def create_app() -> typer.Typer:
    """The command group."""
    app = typer.Typer(help="API keys and the webhook secret of a project.", no_args_is_help=True)
    app.command("create")(create_key)
    app.command("list")(list_keys)
    app.command("revoke")(revoke_key)
    app.command("webhook-secret")(show_webhook_secret)
    return app
