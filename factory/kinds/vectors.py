"""Vectors of texts, by a provider or by the local model: what embeddings and searches both need."""

from __future__ import annotations

import time
from collections.abc import Sequence

from factory.domain.job import ClaimedJob, public_id
from factory.domain.lanes import Priority
from factory.domain.message import Embeddings
from factory.domain.money import Usage
from factory.kinds.means import Means
from factory.knowledge.schedule import Owner
from factory.llm.call import CallTrace
from factory.llm.catalog import LOCAL_EMBEDDING, Model


async def ask_vectors(
    means: Means,
    job: ClaimedJob,
    model: Model,
    step_key: str,
    texts: Sequence[str],
    *,
    is_query: bool = False,
) -> Embeddings:
    """A vector a text. `is_query`: somebody waits for it. Raises what the call raises."""
    if model.id != LOCAL_EMBEDDING.id:
        trace = CallTrace(
            public_id(job.id), step_key, job.attempt, job.traceparent, owner=str(job.project_id)
        )
        return await means.client.embed(model, texts, trace)
    started = time.monotonic()
    vectors, tokens = await means.local.embed(texts, owner_of(job, is_query=is_query))
    elapsed_ms = round((time.monotonic() - started) * 1000)
    return Embeddings(model.provider, model.name, vectors, Usage(tokens), 0, elapsed_ms)


def owner_of(job: ClaimedJob, *, is_query: bool = False) -> Owner:
    """Whose turn the local model takes for the job."""
    priority = Priority(job.lane.rpartition(".")[2])
    return Owner(job.project_id, priority, is_query=is_query)
