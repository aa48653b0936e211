"""`GET /api/queues`: how much waits and runs in each lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from api.answers import list_answer
from api.auth import principal, require
from api.gateway import gateway
from api.schemas.platform import QueueList
from factory.domain.access import Scope
from factory.domain.lanes import all_lanes
from factory.store import jobs
from factory.store.jobs import LaneDepth

blueprint = APIBlueprint("queues", __name__, tag="Queues", url_prefix="/api/queues")
blueprint.before_request(require(Scope.JOBS))


@blueprint.get("")
@blueprint.output(QueueList)
@blueprint.doc(operation_id="list_queues")
def list_queues() -> Response:
    """List the lanes with the project's live jobs."""
    here, who = gateway(), principal()
    with (
        here.lists.take(who.project_id, "lists"),
        here.services.database.autocommit(who) as tx,
    ):
        depths = jobs.depths(tx, who.project_id)
    queues = [_queue(lane, [d for d in depths if d.lane == lane]) for lane in all_lanes()]
    return list_answer(queues, cursor="lane")


def _queue(lane: str, depths: Sequence[LaneDepth]) -> dict[str, Any]:
    counts = {depth.state: depth.jobs for depth in depths}
    return {
        "object": "queue",
        "lane": lane,
        "queued": counts.get("queued", 0),
        "running": counts.get("running", 0),
        "waiting": counts.get("waiting", 0),
        "oldest_age_s": max((depth.oldest_age_s for depth in depths), default=0.0),
    }
