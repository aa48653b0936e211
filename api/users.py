"""`/api/users`: administrators invite people, and end what they may do."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, g
from pydantic import BaseModel, ConfigDict, Field

from api.answers import json_answer, list_answer
from api.auth import require_administrator
from api.gateway import gateway
from api.schemas.users import InvitedUser, User, UserList
from factory.accounts import people
from factory.domain.account import LONGEST_EMAIL
from factory.domain.principal import PLATFORM
from factory.errors import NotFound
from factory.store import users

blueprint = APIBlueprint("users", __name__, tag="Users", url_prefix="/api/users")


@blueprint.before_request
def _authenticate() -> None:
    g.visitor = require_administrator()


class UserRequest(BaseModel):
    """Whom to invite."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    email: Annotated[str, Field(min_length=3, max_length=LONGEST_EMAIL)]
    """The address by which the user will log in. Nothing is sent to it."""
    name: Annotated[str, Field(min_length=1, max_length=100)]
    """What to call the user."""
    is_admin: bool = False
    """Whether the user may invite and deactivate others."""


@blueprint.post("")
@blueprint.input(UserRequest, example={"email": "ada@example.com", "name": "Ada"})
@blueprint.output(InvitedUser, 201)
@blueprint.doc(operation_id="invite_user", responses={409: "There is a user with this address"})
def invite(json_data: UserRequest) -> Response:
    """Invite somebody.

    The answer holds the invitation, for the only time: hand it on by a way that you trust. For somebody who has not
    accepted yet it makes another one, and voids the first.
    """
    here = gateway()
    with here.services.database.transaction(PLATFORM) as tx:
        made = people.invite(
            tx,
            here.accounts.keys,
            json_data.email,
            json_data.name,
            g.visitor.user.subject,
            is_admin=json_data.is_admin,
        )
    shown = {"invitation_token": made.token, "invitation_expires_at": made.expires_at}
    answer = json_answer({**user_json(made.user), **shown}, 201)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.get("")
@blueprint.output(UserList)
@blueprint.doc(operation_id="list_users")
def list_users() -> Response:
    """List the users, newest first."""
    with gateway().services.database.autocommit(PLATFORM) as tx:
        found = users.listed(tx)
    return list_answer([user_json(user) for user in found])


@blueprint.post("/<user_id>/deactivate")
@blueprint.output(User)
@blueprint.doc(
    operation_id="deactivate_user",
    responses={404: "There is no such user", 409: "This is the last administrator who can log in"},
)
def deactivate(user_id: str) -> Response:
    """Deactivate a user.

    All sessions end, everywhere within 5 seconds, and the user cannot log in any more.
    """
    here, found = gateway(), _id_of(user_id)
    with here.services.database.transaction(PLATFORM) as tx:
        user = people.deactivate(tx, found)
    here.live_sessions.forget_user(user.id)
    return json_answer(user_json(user))


def _id_of(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("there is no such user", param="user_id") from None


def user_json(user: users.User) -> dict[str, Any]:
    """A user as the API shows one."""
    return {
        "id": str(user.id),
        "object": "user",
        "email": user.email,
        "name": user.name,
        "is_admin": user.is_admin,
        "state": user.state,
        "created_at": user.created_at,
        "last_login_at": user.last_login_at,
        "deactivated_at": user.deactivated_at,
    }
