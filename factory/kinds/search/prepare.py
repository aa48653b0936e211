"""What a search stores when it is submitted. Somebody waits for its answer, so it is urgent and short-lived."""

from __future__ import annotations

from uuid import UUID

from factory.domain.job import Kind, NewJob, new_id
from factory.domain.lanes import SEARCH, Priority
from factory.domain.text import find_nul
from factory.errors import InvalidInput
from factory.llm.catalog import Catalog
from factory.store import chunks
from factory.store.database import Tx

ATTEMPTS = 2


def prepare(
    catalog: Catalog,
    project_id: UUID,
    *,
    query: str,
    model: str,
    limit: int,
    deadline_s: float | None,
) -> NewJob:
    """The job that finds the pieces nearest to the query. Raises InvalidInput whose `param` names the field."""
    if find_nul(query) is not None or not query.strip():
        raise InvalidInput("query must be a text that is not empty", param="query")
    found = catalog.find(model)
    if found.mode != "embedding":
        raise InvalidInput(f"{found.id} is not an embedding model", param="model")
    return NewJob(
        id=new_id(),
        project_id=project_id,
        kind=Kind.SEARCH,
        provider=found.provider,
        lane_group=SEARCH,
        priority=Priority.HIGH,
        input={"query": query, "limit": limit},
        model=found.id,
        max_attempts=ATTEMPTS,
        deadline_s=deadline_s,
    )


def check_searchable(tx: Tx, job: NewJob) -> None:
    """Raises InvalidInput if the project has no vector of this model: the query's embedding would be paid for nothing."""
    model = job.model or ""
    if chunks.has_any(tx, job.project_id, model):
        return
    other = chunks.any_model(tx, job.project_id)
    hint = f"; its texts are embedded with {other}" if other else ""
    raise InvalidInput(
        f"the project has no text that is embedded with {model}{hint}: "
        f'submit a job with "model": "{model}" and the texts as input first',
        param="model",
    )
