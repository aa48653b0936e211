"""Who calls: an API key as bearer token makes a principal."""

from __future__ import annotations

from collections.abc import Callable

from flask import Request, g, request

from api.access import AccessRecord
from api.gateway import Gateway, gateway
from factory.domain.access import Scope
from factory.domain.principal import Principal
from factory.errors import Forbidden, Unauthorized
from factory.store.keys import KeyView


def require(scope: Scope) -> Callable[[], None]:
    """A check before each request, which makes its `principal()`. Raises Unauthorized, Forbidden."""

    def authenticate() -> None:
        g.principal = caller(gateway(), request, g.access, scope)

    return authenticate


def caller(here: Gateway, asked: Request, record: AccessRecord, scope: Scope) -> Principal:
    """Who sent this request; its key is noted in `record`. Raises Unauthorized, Forbidden."""
    key = here.keyring.verify(_bearer_token(asked))
    if key is None:
        raise Unauthorized("the API key is unknown, expired or revoked", code="invalid_token")
    record.key, who = key, principal_of(key)
    if scope not in who.scopes:
        raise Forbidden(f"this key lacks the scope {scope}", code="insufficient_scope")
    return who


def principal() -> Principal:
    """Who makes the current request."""
    found: Principal = g.principal
    return found


def principal_of(key: KeyView) -> Principal:
    """Who holds this key."""
    return Principal(frozenset((key.project_id,)), f"key:{key.prefix}", frozenset(key.scopes))


def _bearer_token(asked: Request) -> str:
    given = asked.authorization
    if given is None or given.type != "bearer" or not given.token:
        raise Unauthorized("send Authorization: Bearer af_… with an API key of your project")
    return given.token
