"""Runs a search: the query becomes a vector, and Postgres finds the nearest ones."""

from __future__ import annotations

from factory.calls.call import Result, call_once, close
from factory.domain.job import ClaimedJob
from factory.domain.message import Embeddings
from factory.kinds.means import Means
from factory.kinds.search.show import hit_json
from factory.kinds.vectors import ask_vectors
from factory.store import chunks

STEP = "embed"


async def find_nearest(means: Means, job: ClaimedJob) -> Result:
    """The project's chunks nearest to the query. An attempt after a crash embeds the query again."""
    model = means.catalog.find(job.model or "")
    kept: list[Embeddings] = []

    async def send() -> Embeddings:
        texts = [job.input["query"]]
        kept.append(await ask_vectors(means, job, model, STEP, texts, is_query=True))
        return kept[0]

    await close(
        means.calls, await call_once(means.calls, job, STEP, model, send, lambda _: {"texts": 1})
    )
    # An answer without the vector of its only text was refused before.
    vector, limit = kept[0].vectors[0] or [], job.input["limit"]
    hits = await means.reader.read(
        job.project_id, lambda tx: chunks.nearest(tx, job.project_id, model.id, vector, limit)
    )
    return Result({"model": model.id, "hits": [hit_json(hit) for hit in hits]})
