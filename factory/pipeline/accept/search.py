"""Search as a job: a worker that has the embedding model embeds the query and finds the nearest chunks."""

from __future__ import annotations

from typing import Any

from factory.domain.principal import Principal
from factory.kinds.search.prepare import check_searchable, prepare
from factory.kinds.search.show import hits_of
from factory.pipeline.accept.submit import Intake
from factory.pipeline.accept.wait import Waiter
from factory.store import jobs

PATIENCE_S = 20.0


def search(
    intake: Intake, waiter: Waiter, who: Principal, *, query: str, model: str, limit: int
) -> list[dict[str, Any]]:
    """The project's nearest chunks `{content, source, score, …}`, nearest first.

    Raises InvalidInput, SearchFailed, TooManyQueued, or Unavailable, as when no worker answers within 20 s.
    """
    job = prepare(
        intake.catalog, who.project_id, query=query, model=model, limit=limit, deadline_s=PATIENCE_S
    )
    intake.backpressure.admit(who.project_id, 1)
    with intake.services.database.autocommit(who) as tx:
        check_searchable(tx, job)
        jobs.insert(tx, [job])
    intake.wake_up.send()
    waiter.wait(who, job.id, PATIENCE_S)
    with intake.services.database.autocommit(who) as tx:
        return hits_of(jobs.get(tx, who.project_id, job.id))
