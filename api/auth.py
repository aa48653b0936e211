"""Who calls: an API key as bearer token, its project and its scopes."""

from __future__ import annotations

from collections.abc import Callable

from flask import g, request

from api.gateway import gateway
from factory.domain.access import Scope
from factory.errors import Forbidden, Unauthorized


def require(scope: Scope) -> Callable[[], None]:
    """A check before each request: sets `g.project_id`, or raises Unauthorized, Forbidden."""

    def authenticate() -> None:
        key = gateway().keyring.verify(_bearer_token())
        if key is None:
            raise Unauthorized("the API key is unknown, expired or revoked", code="invalid_token")
        g.access.key, g.project_id = key, key.project_id
        if scope not in key.scopes:
            raise Forbidden(f"this key lacks the scope {scope}", code="insufficient_scope")

    return authenticate


def _bearer_token() -> str:
    given = request.authorization
    if given is None or given.type != "bearer" or not given.token:
        raise Unauthorized("send Authorization: Bearer af_… with an API key of your project")
    return given.token
