"""Who calls: an API key as bearer token makes a principal."""

from __future__ import annotations

from collections.abc import Callable

from flask import g, request

from api.gateway import gateway
from factory.domain.access import Scope
from factory.domain.principal import Principal
from factory.errors import Forbidden, Unauthorized
from factory.store.keys import KeyView


def require(scope: Scope) -> Callable[[], None]:
    """A check before each request, which makes its `principal()`. Raises Unauthorized, Forbidden."""

    def authenticate() -> None:
        key = gateway().keyring.verify(_bearer_token())
        if key is None:
            raise Unauthorized("the API key is unknown, expired or revoked", code="invalid_token")
        who = principal_of(key)
        g.access.key, g.principal = key, who
        if scope not in who.scopes:
            raise Forbidden(f"this key lacks the scope {scope}", code="insufficient_scope")

    return authenticate


def principal() -> Principal:
    """Who makes the current request."""
    found: Principal = g.principal
    return found


def principal_of(key: KeyView) -> Principal:
    """Who holds this key."""
    return Principal(frozenset((key.project_id,)), f"key:{key.prefix}", frozenset(key.scopes))


def _bearer_token() -> str:
    given = request.authorization
    if given is None or given.type != "bearer" or not given.token:
        raise Unauthorized("send Authorization: Bearer af_… with an API key of your project")
    return given.token
