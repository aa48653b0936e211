"""`GET /api/workers`: the processes that run jobs."""

from __future__ import annotations

from dataclasses import asdict

from apiflask import APIBlueprint
from flask import Response

from api.answers import list_answer
from api.auth import principal, require
from api.gateway import gateway
from api.schemas.platform import WorkerList
from factory.domain.access import Scope
from factory.store import leases

blueprint = APIBlueprint("workers", __name__, tag="Workers", url_prefix="/api/workers")
blueprint.before_request(require(Scope.JOBS))


@blueprint.get("")
@blueprint.output(WorkerList)
@blueprint.doc(operation_id="list_workers")
def list_workers() -> Response:
    """List the workers, which all projects share.

    `live` is false once a worker has missed its heartbeats for a whole lease; its jobs are then
    taken back.
    """
    services = gateway().services
    with services.database.autocommit(principal()) as tx:
        workers = leases.workers(tx, services.settings.lease_s)
    return list_answer(
        [{**asdict(worker), "id": str(worker.id), "object": "worker"} for worker in workers]
    )
