"""Vectors of texts, by a provider or by the local model: what embeddings and searches both need."""

from __future__ import annotations

import time
from collections.abc import Sequence

from factory.calls.passage import Passage
from factory.domain.job import ClaimedJob
from factory.domain.lanes import Priority
from factory.domain.message import Embeddings
from factory.domain.money import Usage
from factory.kinds.means import Means
from factory.knowledge.schedule import Owner
from factory.limits.budget import CallSize, most_tokens
from factory.llm.catalog import LOCAL_EMBEDDING


def size_of_texts(texts: Sequence[str]) -> CallSize:
    """Upper bounds of an embedding call's tokens."""
    return CallSize(sum(map(most_tokens, texts)), max_output_tokens=0)


async def ask_vectors(
    means: Means,
    job: ClaimedJob,
    passage: Passage,
    texts: Sequence[str],
    *,
    is_query: bool = False,
) -> Embeddings:
    """One vector for each text. `is_query`: somebody waits for it. Raises what the call raises."""
    model = passage.model
    if model.id != LOCAL_EMBEDDING.id:
        return await passage.embed(texts)
    started = time.monotonic()
    vectors, tokens = await means.local.embed(texts, owner_of(job, is_query=is_query))
    elapsed_ms = round((time.monotonic() - started) * 1000)
    return Embeddings(model.provider, model.name, vectors, Usage(tokens), 0, elapsed_ms)


def owner_of(job: ClaimedJob, *, is_query: bool = False) -> Owner:
    """On whose behalf the local model works: it takes turns by project and priority."""
    priority = Priority(job.lane.rpartition(".")[2])
    return Owner(job.project_id, priority, is_query=is_query)
