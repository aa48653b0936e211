"""Runs a search: the query becomes a vector, and Postgres finds the nearest ones."""

from __future__ import annotations

from typing import Any

from factory.calls.gate import Result
from factory.calls.passage import Passage
from factory.calls.spending import open_budget
from factory.domain.job import ClaimedJob
from factory.domain.message import Embeddings
from factory.kinds.means import Means
from factory.kinds.search.show import hit_json
from factory.kinds.vectors import ask_vectors, size_of_texts
from factory.store import chunks

STEP = "embed"


async def find_nearest(means: Means, job: ClaimedJob) -> Result:
    """The project's chunks nearest to the query. An attempt after a crash embeds the query again."""
    model, texts = means.catalog.find(job.model or ""), [job.input["query"]]
    kept: list[Embeddings] = []

    async def send(passage: Passage) -> tuple[Embeddings, Any]:
        kept.append(await ask_vectors(means, job, passage, texts, is_query=True))
        return kept[0], {"texts": 1}

    budget = open_budget(means.catalog, job, size_of_texts(texts))
    await means.gate.record(await means.gate.call(job, STEP, model, budget, send))
    # An answer without the vector of its only text was refused before.
    vector, limit = kept[0].vectors[0] or [], job.input["limit"]
    hits = await means.reader.read(
        job.project_id, lambda tx: chunks.nearest(tx, job.project_id, model.id, vector, limit)
    )
    return Result({"model": model.id, "hits": [hit_json(hit) for hit in hits]})
