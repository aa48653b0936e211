"""`/api/keys`: the project's API keys, for who holds the scope admin."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from api.answers import json_answer, list_answer
from api.auth import principal, require
from api.gateway import gateway
from api.schemas.platform import ApiKeyList, NewApiKey
from factory.domain.access import Scope
from factory.errors import InvalidInput, NotFound
from factory.kinds.request import Time
from factory.store import keys
from factory.store.keys import KeyView

blueprint = APIBlueprint("keys", __name__, tag="Keys", url_prefix="/api/keys")
blueprint.before_request(require(Scope.ADMIN))


class KeyRequest(BaseModel):
    """The key to make."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """What to call it in lists."""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))] = [Scope.JOBS]
    """What it may do: `jobs` for jobs and searches, `admin` for keys."""
    expires_at: Time | None = None
    """When it ends by itself; null for never."""


@blueprint.post("")
@blueprint.input(KeyRequest, example={"name": "billing service", "scopes": ["jobs"]})
@blueprint.output(NewApiKey, 201)
@blueprint.doc(operation_id="create_key")
def create_key(json_data: KeyRequest) -> Response:
    """Make a key.

    The answer holds the whole key, for the only time: only a hash of it is kept.
    """
    services = gateway().services
    secret_key, previous = services.settings.secret_key, services.settings.previous_secrets
    who = principal()
    with services.database.transaction(who) as tx:
        key = keys.create(
            tx,
            secret_key,
            who.project_id,
            json_data.name,
            [scope.value for scope in dict.fromkeys(json_data.scopes)],
            expires_at=json_data.expires_at,
            previous=previous,
        )
        made = keys.verify(tx, secret_key, key, previous)
        if made is None:
            raise InvalidInput("expires_at is in the past", param="expires_at")
    return json_answer({**_key_json(made), "key": key}, 201)


@blueprint.get("")
@blueprint.output(ApiKeyList)
@blueprint.doc(operation_id="list_keys")
def list_keys() -> Response:
    """List the keys, newest first."""
    who = principal()
    with gateway().services.database.autocommit(who) as tx:
        found = keys.listed(tx, who.project_id)
    return list_answer([_key_json(key) for key in found], cursor="prefix")


@blueprint.delete("/<prefix>")
@blueprint.doc(operation_id="revoke_key", responses={204: "The key is revoked"})
def revoke_key(prefix: str) -> Response:
    """Revoke a key.

    Every gateway refuses it within 30 seconds.
    """
    who = principal()
    with gateway().services.database.autocommit(who) as tx:
        revoked = prefix.isalnum() and keys.revoke(tx, who.project_id, prefix)
    if not revoked:
        raise NotFound("there is no live key with this prefix", param="prefix")
    gateway().keyring.forget(prefix)
    return Response(status=204)


def _key_json(key: KeyView) -> dict[str, Any]:
    shown = {name: value for name, value in asdict(key).items() if name != "project_id"}
    return {**shown, "id": str(key.id), "object": "api_key"}
