"""Who calls: a bearer token is an API key, which makes a principal, or the access token of a person."""

from __future__ import annotations

from collections.abc import Callable

from flask import Request, g, request

from api.access import AccessRecord
from api.gateway import Gateway, gateway
from api.live_sessions import Visitor
from factory.domain.access import Scope
from factory.domain.principal import Principal
from factory.errors import Forbidden, Unauthorized
from factory.store.keys import KeyView

DOTS_OF_A_JWT = 2


def require(scope: Scope) -> Callable[[], None]:
    """A check before each request, which makes its `principal()`. Raises Unauthorized, Forbidden."""

    def authenticate() -> None:
        g.principal = caller(gateway(), request, g.access, scope)

    return authenticate


def caller(here: Gateway, asked: Request, record: AccessRecord, scope: Scope) -> Principal:
    """Who sent this request; its key is noted in `record`. Raises Unauthorized, Forbidden."""
    token = _bearer_token(asked)
    if _is_of_a_person(token):
        _visitor(here, token, record)
        raise Forbidden(
            "this call needs an API key of a project; the token of a person is not enough",
            code="api_key_required",
        )
    key = here.keyring.verify(token)
    if key is None:
        raise Unauthorized("the API key is unknown, expired or revoked", code="invalid_token")
    record.key, who = key, principal_of(key)
    if scope not in who.scopes:
        raise Forbidden(f"this key lacks the scope {scope}", code="insufficient_scope")
    return who


def require_person() -> Visitor:
    """The person who makes the current request. Raises Unauthorized, Forbidden."""
    here, token = gateway(), _bearer_token(request)
    if not _is_of_a_person(token):
        if here.keyring.verify(token):
            raise Forbidden("this call needs the token of a person", code="user_required")
        raise Unauthorized("the access token is not valid", code="invalid_token")
    return _visitor(here, token, g.access)


def require_administrator() -> Visitor:
    """The same, of somebody who may manage users."""
    visitor = require_person()
    if not visitor.user.is_admin:
        raise Forbidden("only an administrator may do this", code="insufficient_role")
    return visitor


def principal() -> Principal:
    """Who makes the current request."""
    found: Principal = g.principal
    return found


def principal_of(key: KeyView) -> Principal:
    """Who holds this key."""
    return Principal(frozenset((key.project_id,)), f"key:{key.prefix}", frozenset(key.scopes))


def _visitor(here: Gateway, token: str, record: AccessRecord) -> Visitor:
    found = here.live_sessions.verify(token)
    if found is None:
        raise Unauthorized("the access token is not valid", code="invalid_token")
    record.user_id = found.user.id
    return found


def _is_of_a_person(token: str) -> bool:
    return token.count(".") == DOTS_OF_A_JWT


def _bearer_token(asked: Request) -> str:
    given = asked.authorization
    if given is None or given.type != "bearer" or not given.token:
        raise Unauthorized("send Authorization: Bearer af_… with an API key of your project")
    return given.token
