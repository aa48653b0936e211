"""`POST /api/search`: the nearest pieces of what the project has embedded."""

from __future__ import annotations

from typing import Annotated

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from api.answers import json_answer
from api.auth import principal, require
from api.gateway import gateway
from api.schemas.platform import HitList
from factory.domain.access import Scope
from factory.pipeline.accept.search import search

blueprint = APIBlueprint("search", __name__, tag="Search", url_prefix="/api/search")
blueprint.before_request(require(Scope.JOBS))


class SearchRequest(BaseModel):
    """What to look for."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    query: Annotated[str, Field(min_length=1, max_length=10_000)]
    """What to look for, in any words."""
    model: Annotated[str, Field(min_length=1, max_length=200)] = "local/all-minilm-l6-v2"
    """The embedding model that embedded the texts."""
    limit: int = Field(8, ge=1, le=50)
    """At most so many pieces."""


@blueprint.post("")
@blueprint.input(SearchRequest, example={"query": "how are leases renewed?", "limit": 3})
@blueprint.output(HitList)
@blueprint.doc(operation_id="search", responses={502: "The embedding model refused or failed"})
def search_chunks(json_data: SearchRequest) -> Response:
    """Search the embedded texts.

    The model must be the one that embedded them; 422 says so where it is not. The worker that has it answers;
    without one the call ends with 503 after 20 s. A search counts against the limits of queued jobs.
    """
    waiting, who = gateway().waiting, principal()
    with waiting.place(who.project_id):
        hits = search(
            gateway().intake,
            waiting.waiter,
            who,
            query=json_data.query,
            model=json_data.model,
            limit=json_data.limit,
        )
    return json_answer({"object": "list", "data": hits})
