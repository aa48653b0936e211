"""Search as a job: a worker that has the embedding model embeds the query and finds the nearest chunks."""

from __future__ import annotations

from typing import Any

from factory.domain.job import Kind, NewJob, new_id
from factory.domain.lanes import Priority
from factory.domain.principal import Principal
from factory.domain.state import State
from factory.domain.text import find_nul
from factory.errors import FactoryError, InvalidInput, Unavailable
from factory.pipeline.accept.submit import Intake
from factory.pipeline.accept.wait import Waiter
from factory.store import chunks, jobs
from factory.store.database import Tx
from factory.store.jobs import JobView

PATIENCE_S = 20.0
ATTEMPTS = 2


class SearchFailed(FactoryError):
    """The search's job ended without an answer; `code` is the job's error type."""

    type = "search_failed"


def search(
    intake: Intake, waiter: Waiter, who: Principal, *, query: str, model: str, limit: int
) -> list[dict[str, Any]]:
    """The project's nearest chunks `{content, source, score, …}`, nearest first.

    Raises InvalidInput, SearchFailed, TooManyQueued, or Unavailable, as when no worker answers within 20 s.
    """
    if find_nul(query) is not None or not query.strip():
        raise InvalidInput("query must be a text that is not empty", param="query")
    found = intake.catalog.find(model)
    if found.mode != "embedding":
        raise InvalidInput(f"{found.id} is no embedding model", param="model")
    job = NewJob(
        id=new_id(),
        project_id=who.project_id,
        kind=Kind.SEARCH,
        provider=found.provider,
        priority=Priority.HIGH,
        input={"query": query, "limit": limit},
        model=found.id,
        max_attempts=ATTEMPTS,
        deadline_s=PATIENCE_S,
    )
    intake.gate.admit(who.project_id, 1)
    with intake.services.database.autocommit(who) as tx:
        _check_searchable(tx, job)
        jobs.insert(tx, [job])
    intake.wake_up.send()
    waiter.wait(who, job.id, PATIENCE_S)
    with intake.services.database.autocommit(who) as tx:
        return _hits(jobs.get(tx, who.project_id, job.id))


def _check_searchable(tx: Tx, job: NewJob) -> None:
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


def _hits(job: JobView | None) -> list[dict[str, Any]]:
    if job is None or not job.state.terminal:
        raise Unavailable("no worker with the embedding model answers; try again", retry_after_s=5)
    if job.state is not State.SUCCEEDED:
        error = job.error or {}
        raise SearchFailed(
            error.get("message", f"the search was {job.state}"), code=error.get("type")
        )
    hits: list[dict[str, Any]] = job.output["hits"]
    return hits
