"""`/health` tells that the process runs, `/ready` whether it can accept jobs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from apiflask import APIBlueprint
from flask import Response
from redis.exceptions import RedisError

from api.answers import json_answer
from api.gateway import gateway
from api.schemas import Health, Readiness
from factory.errors import Unavailable
from factory.services import Services
from factory.store import schema

PATIENCE_S = 2.0

T = TypeVar("T")
log = logging.getLogger(__name__)

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
    services = gateway().services
    until = time.monotonic() + PATIENCE_S
    revision, pong = _ask(_revision, services), _ask(_ping, services)
    postgres, found = _heard(revision, until)
    redis, _ = _heard(pong, until)
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


def _ask(question: Callable[[Services], T], services: Services) -> Future[T]:
    """Asks in a thread of its own: a server that hangs keeps no timeout of ours."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(question(services))
        except (Unavailable, RedisError) as error:
            answer.set_exception(error)

    threading.Thread(target=run, name="readiness", daemon=True).start()
    return answer


def _heard(answer: Future[T], until: float) -> tuple[bool, T | None]:
    """Whether an answer came in time, and the answer."""
    try:
        return True, answer.result(max(0.0, until - time.monotonic()))
    except (Unavailable, RedisError, TimeoutError) as error:
        log.warning("not ready: %s", error or "no answer in time")
        return False, None


def _revision(services: Services) -> str | None:
    with services.database.autocommit() as tx:
        return schema.revision(tx)


def _ping(services: Services) -> bool:
    return bool(services.redis.ping())
