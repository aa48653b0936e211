"""`GET /api/agents`: the agents that jobs may name."""

from __future__ import annotations

from dataclasses import asdict

from apiflask import APIBlueprint
from flask import Response

from api.answers import list_answer
from api.auth import require
from api.gateway import gateway
from api.schemas.platform import AgentList
from factory.domain.access import Scope
from factory.domain.agent import parse_spec
from factory.store import agents

blueprint = APIBlueprint("agents", __name__, tag="Agents", url_prefix="/api/agents")
blueprint.before_request(require(Scope.JOBS))


@blueprint.get("")
@blueprint.output(AgentList)
@blueprint.doc(operation_id="list_agents")
def list_agents() -> Response:
    """List the agents, each in its active version."""
    with gateway().services.database.autocommit() as tx:
        found = agents.listed(tx)
    return list_answer(
        [
            {"object": "agent", "version": agent.version, **asdict(parse_spec(agent.spec))}
            for agent in found
        ],
        cursor="name",
    )
