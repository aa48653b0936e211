"""`/api/auth`: people log in, refresh their tokens and log out."""

from __future__ import annotations

from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field

from api.answers import json_answer
from api.auth import require_person
from api.gateway import gateway
from api.schemas.users import Tokens, User
from api.users import user_json
from factory.accounts.access_tokens import VALID_S
from factory.accounts.accounts import Client, SignedIn
from factory.domain.account import LONGEST_EMAIL, LONGEST_PASSWORD

blueprint = APIBlueprint("auth", __name__, tag="Login", url_prefix="/api/auth")

LONGEST_TOKEN = 200
Email = Annotated[str, Field(min_length=3, max_length=LONGEST_EMAIL)]
Given = Annotated[str, Field(min_length=1, max_length=LONGEST_PASSWORD)]
Token = Annotated[str, Field(min_length=1, max_length=LONGEST_TOKEN)]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class _Request(BaseModel):
    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )


class Login(_Request):
    """Who logs in."""

    email: Email
    """The address that was invited."""
    password: Given
    """The password."""


class Refresh(_Request):
    """The session to go on with, or to end."""

    refresh_token: Token
    """The newest one of the session."""


class Acceptance(_Request):
    """What an invitation is answered with."""

    token: Token
    """The invitation, `afi_…`."""
    password: Given
    """From 12 characters on; not the address, and none of the commonest passwords."""
    name: Name | None = None
    """What to call the user; null keeps the name of the invitation."""


class NewPassword(_Request):
    """Another password."""

    current_password: Given
    """The one of now."""
    new_password: Given
    """As long as that of an invitation."""


@blueprint.post("/login")
@blueprint.input(Login, example={"email": "ada@example.com", "password": "a long pass phrase"})
@blueprint.output(Tokens)
@blueprint.doc(operation_id="log_in", responses={429: "Too many logins were tried"})
def log_in(json_data: Login) -> Response:
    """Log in.

    A wrong password and an unknown address look the same. After 10 attempts at an address, or 50 from one client,
    within 15 minutes further ones are refused until these are over.
    """
    return _tokens(gateway().accounts.sign_in(json_data.email, json_data.password, _client()))


@blueprint.post("/refresh")
@blueprint.input(Refresh, example={"refresh_token": "afr_…"})
@blueprint.output(Tokens)
@blueprint.doc(operation_id="refresh_tokens")
def refresh(json_data: Refresh) -> Response:
    """Get the next tokens of a session.

    A refresh token is good once; for 10 seconds more it gives the same successor. One that is used later ends the
    session, because two have it. A session lasts 14 days.
    """
    return _tokens(gateway().accounts.refresh(json_data.refresh_token))


@blueprint.post("/logout")
@blueprint.input(Refresh, example={"refresh_token": "afr_…"})
@blueprint.doc(operation_id="log_out", responses={204: "The session is over, or there was none"})
def log_out(json_data: Refresh) -> Response:
    """End a session.

    Its access tokens are refused everywhere within 5 seconds.
    """
    here = gateway()
    if session_id := here.accounts.sign_out(json_data.refresh_token):
        here.live_sessions.forget(session_id)
    return Response(status=204)


@blueprint.get("/me")
@blueprint.output(User)
@blueprint.doc(operation_id="get_me")
def me() -> Response:
    """Show who is logged in."""
    return json_answer(user_json(require_person().user))


@blueprint.post("/accept-invitation")
@blueprint.input(Acceptance, example={"token": "afi_…", "password": "a long pass phrase"})
@blueprint.output(Tokens)
@blueprint.doc(operation_id="accept_invitation")
def accept_invitation(json_data: Acceptance) -> Response:
    """Set a password with an invitation, and log in.

    An invitation is good once, for 7 days. Earlier sessions of the user end.
    """
    given = json_data
    signed_in = gateway().accounts.accept(given.token, given.password, given.name, _client())
    gateway().live_sessions.forget_user(signed_in.user.id)
    return _tokens(signed_in)


@blueprint.post("/password")
@blueprint.input(
    NewPassword, example={"current_password": "…", "new_password": "a long pass phrase"}
)
@blueprint.doc(operation_id="change_password", responses={204: "The password is another one"})
def change_password(json_data: NewPassword) -> Response:
    """Change the password.

    All other sessions of the user end.
    """
    here, visitor = gateway(), g.visitor
    here.accounts.change_password(
        visitor.user,
        visitor.session_id,
        json_data.current_password,
        json_data.new_password,
        _client(),
    )
    here.live_sessions.forget_user(visitor.user.id)
    return Response(status=204)


@blueprint.before_request
def _authenticate() -> None:
    """Before the body is read, as everywhere."""
    if request.endpoint == "auth.change_password":
        g.visitor = require_person()


def _client() -> Client:
    return Client(request.remote_addr, request.headers.get("User-Agent"))


def _tokens(signed_in: SignedIn) -> Response:
    shown: dict[str, Any] = {
        "object": "tokens",
        "access_token": signed_in.access_token,
        "token_type": "Bearer",
        "expires_in": VALID_S,
        "refresh_token": signed_in.refresh_token,
        "user": user_json(signed_in.user),
    }
    g.access.user_id = signed_in.user.id
    answer = json_answer(shown)
    answer.headers["Cache-Control"] = "no-store"
    return answer
