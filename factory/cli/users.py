"""`factory users …`: people who may log in. Needs access to the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.output import JsonOption, print_json, print_lines, print_rich
from factory.domain.principal import PLATFORM

if TYPE_CHECKING:
    from factory.accounts.people import Invitation
    from factory.accounts.signing import SigningKeys
    from factory.services import Services
    from factory.store.users import User

BY = "cli"
FIRST_ADMIN = "admin@localhost"
EmailArgument = Annotated[str, typer.Argument(help="The address by which the user logs in.")]


def list_users(as_json: JsonOption = False) -> None:
    """All users, newest first."""
    from factory.cli.operator import operator_services
    from factory.cli.render import moment, table
    from factory.store import users

    with operator_services() as services, services.database.transaction(PLATFORM) as tx:
        listed = [_as_dict(user) for user in users.listed(tx)]
    if as_json:
        print_json({"object": "list", "data": listed})
        return
    columns = ("email", "name", "state", "admin", "last_login_at")
    rows = (
        (
            user["email"],
            user["name"],
            user["state"],
            "yes" if user["is_admin"] else "no",
            moment(user["last_login_at"]) if user["last_login_at"] else "-",
        )
        for user in listed
    )
    print_rich(table(columns, rows))


def invite_user(
    email: EmailArgument,
    name: Annotated[str | None, typer.Option(help="The address by default.")] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="May invite and deactivate others.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Invite somebody. The invitation is good once, for 7 days, and shown this once; nothing is sent."""
    from factory.accounts import people
    from factory.cli.operator import operator_services

    with operator_services() as services, services.database.transaction(PLATFORM) as tx:
        made = people.invite(tx, _keys(services), email, name or email, BY, is_admin=admin)
    _show(made, as_json=as_json)


def reset_password(email: EmailArgument, as_json: JsonOption = False) -> None:
    """Make an invitation with which a user sets another password. Until then the old one is good."""
    from factory.accounts import people
    from factory.cli.operator import operator_services

    with operator_services() as services, services.database.transaction(PLATFORM) as tx:
        made = people.reset_password(tx, _keys(services), email, BY)
    _show(made, as_json=as_json)


def deactivate_user(email: EmailArgument, as_json: JsonOption = False) -> None:
    """End what a user may do. Gateways may believe a session for another 5 s."""
    from factory.accounts import people
    from factory.cli.operator import operator_services

    with operator_services() as services, services.database.transaction(PLATFORM) as tx:
        user = people.deactivate(tx, people.find_user(tx, email).id)
    print_json(_as_dict(user)) if as_json else print_lines([f"deactivated {user.email}"])


def invite_first_admin(services: Services) -> Invitation | None:
    """Makes the first administrator; None if there is any user."""
    from factory.accounts import people
    from factory.store import users

    with services.database.transaction(PLATFORM) as tx:
        if users.are_there(tx):
            return None
        return people.invite(tx, _keys(services), FIRST_ADMIN, "Administrator", "up", is_admin=True)


def _keys(services: Services) -> SigningKeys:
    from factory.accounts.signing import SigningKeys

    return SigningKeys(services.settings.token_secrets)


def _show(made: Invitation, *, as_json: bool) -> None:
    if as_json:
        shown = {"token": made.token, "expires_at": made.expires_at.isoformat()}
        print_json({"user": _as_dict(made.user), "invitation": shown})
    else:
        print_lines([made.token])


def _as_dict(user: User) -> dict[str, Any]:
    times = ("created_at", "last_login_at", "deactivated_at")
    found = {name: getattr(user, name) for name in times}
    return {
        "id": str(user.id),
        "email": user.email,
        "name": user.name,
        "is_admin": user.is_admin,
        "state": user.state,
        **{name: time.isoformat() if time else None for name, time in found.items()},
    }


def create_app() -> typer.Typer:
    """The command group."""
    app = typer.Typer(help="People who may log in.", no_args_is_help=True)
    app.command("list")(list_users)
    app.command("invite")(invite_user)
    app.command("deactivate")(deactivate_user)
    app.command("reset-password")(reset_password)
    return app
