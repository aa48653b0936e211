"""`/health` tells that the process runs, `/ready` whether it can accept jobs."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from api.answers import json_answer
from api.gateway import gateway
from api.schemas.platform import Health, Readiness
from factory.store import schema

blueprint = APIBlueprint("health", __name__, tag="Health")


@blueprint.get("/health")
@blueprint.output(Health)
@blueprint.doc(operation_id="health")
def health() -> Response:
    """Tell that the process runs, whatever else does not."""
    return json_answer({"status": "ok"})


@blueprint.get("/ready")
@blueprint.output(Readiness)
@blueprint.doc(operation_id="ready", responses={503: "Jobs cannot be accepted now"})
def ready() -> Response:
    """Tell whether jobs can be accepted.

    Postgres and its schema are needed. Redis is reported and not needed: jobs are accepted without
    it, and start when it is back.
    """
    postgres, found, redis = gateway().readiness.look()
    wanted = schema.newest_revision()
    # A newer schema is fine: migrations add first, and take away once no old code is left.
    current = found is not None and found >= wanted
    migrate = f"revision {found}, this code needs {wanted}: alembic upgrade head"
    body = {
        "status": "ready" if current else "unready",
        "postgres": _part(postgres, required=True, detail="no answer"),
        "redis": _part(redis, required=False, detail="no answer"),
        "schema": _part(current, required=True, detail=migrate if postgres else "not known"),
    }
    return json_answer(body, 200 if current else 503)


def _part(ok: bool, *, required: bool, detail: str) -> dict[str, Any]:
    return {"ok": ok, "required": required, "detail": None if ok else detail}
