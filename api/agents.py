"""`GET /api/agents`: the agents that jobs may name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from api.answers import list_answer
from api.auth import principal, require
from api.gateway import gateway
from api.schemas.platform import AgentList
from factory.domain.access import Scope
from factory.domain.agent import AgentSpec
from factory.errors import FactoryError
from factory.store import agents
from factory.store.agents import ActiveAgent
from factory.store.codec import stored_spec

blueprint = APIBlueprint("agents", __name__, tag="Agents", url_prefix="/api/agents")
blueprint.before_request(require(Scope.JOBS))


@blueprint.get("")
@blueprint.output(AgentList)
@blueprint.doc(operation_id="list_agents")
def list_agents() -> Response:
    """List the agents, each in its active version."""
    with gateway().services.database.autocommit(principal()) as tx:
        found = agents.listed(tx)
    return list_answer([_shown(agent) for agent in found], cursor="name")


def _shown(agent: ActiveAgent) -> dict[str, Any]:
    """As far as its spec can be read."""
    try:
        spec = stored_spec(agent.spec)
    except FactoryError:
        spec = AgentSpec(agent.name, "")
    return {"object": "agent", "version": agent.version, **asdict(spec)}
