"""The job kinds `embedding` and `search`: texts to vectors in pgvector, and the way back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from factory.domain.job import ClaimedJob, new_id, public_id
from factory.domain.lanes import LOCAL
from factory.domain.message import Embeddings
from factory.domain.money import Usage
from factory.knowledge.chunk import split
from factory.knowledge.embed import LocalEmbedder
from factory.llm.call import CallTrace
from factory.llm.catalog import Model
from factory.pipeline.calls import call_once
from factory.pipeline.worker import Worker
from factory.store import chunks
from factory.store.chunks import Hit, NewChunk
from factory.store.database import Tx

STEP = "embed"


async def embed(worker: Worker, job: ClaimedJob) -> Any:
    """Chunks the texts, embeds the chunks and stores both; gives what is now searchable."""
    model = worker.catalog.find(job.model or "")
    pieces = await worker.embedder.run(lambda embedder: _split(embedder, job.input["texts"]))
    vectors = await _vectors(worker, job, model, [piece.content for piece in pieces])
    new = [
        NewChunk(new_id(), ordinal, piece.source, piece.start, piece.end, piece.content, vector)
        for ordinal, (piece, vector) in enumerate(zip(pieces, vectors, strict=True))
    ]
    await worker.writer.write(insert_chunks, _Chunks(job.project_id, job.id, model.id, new))
    sources = Counter(piece.source for piece in pieces)
    return {
        "model": model.id,
        "dimensions": len(vectors[0]),
        "chunks": len(new),
        "sources": dict(sources),
    }


async def find_nearest(worker: Worker, job: ClaimedJob) -> Any:
    """The project's chunks nearest to the query."""
    model = worker.catalog.find(job.model or "")
    query = (await _vectors(worker, job, model, [job.input["query"]]))[0]
    wanted = _Query(job.project_id, model.id, query, job.input["limit"])
    hits = await worker.writer.write(search_chunks, wanted)
    return {"model": model.id, "hits": [_hit_json(hit) for hit in hits]}


async def _vectors(
    worker: Worker, job: ClaimedJob, model: Model, texts: Sequence[str]
) -> list[list[float]]:
    """Vectors are not kept in the journal: an attempt after a crash embeds again."""
    kept: list[Embeddings] = []

    async def send() -> Embeddings:
        if model.provider == LOCAL:
            kept.append(await worker.embedder.run(lambda e: _embed_locally(e, model, texts)))
        else:
            trace = CallTrace(public_id(job.id), STEP, job.attempt, job.traceparent)
            kept.append(await worker.client.embed(model, texts, trace))
        return kept[0]

    await call_once(worker, job, STEP, model, send, lambda answer: {"texts": len(texts)})
    return kept[0].vectors


def _embed_locally(embedder: LocalEmbedder, model: Model, texts: Sequence[str]) -> Embeddings:
    started = time.monotonic()
    vectors = embedder.embed(texts)
    tokens = sum(embedder.count_tokens(text) for text in texts)
    elapsed_ms = round((time.monotonic() - started) * 1000)
    return Embeddings(LOCAL, model.name, vectors, Usage(tokens), 0, elapsed_ms)


@dataclass(frozen=True, slots=True)
class _Piece:
    source: str
    start: int
    end: int
    content: str


def _split(embedder: LocalEmbedder, texts: Sequence[Sequence[str]]) -> list[_Piece]:
    return [
        _Piece(source, chunk.start, chunk.end, chunk.text)
        for source, text in texts
        for chunk in split(text, embedder.count_tokens)
    ]


@dataclass(frozen=True, slots=True)
class _Chunks:
    project_id: UUID
    job_id: UUID
    model: str
    chunks: list[NewChunk]


@dataclass(frozen=True, slots=True)
class _Query:
    project_id: UUID
    model: str
    vector: list[float]
    limit: int


def insert_chunks(tx: Tx, jobs: list[_Chunks]) -> Sequence[None]:
    """Statement for the writer: stores the chunks of each job."""
    for job in jobs:
        chunks.insert(tx, job.project_id, job.job_id, job.model, job.chunks)
    return [None] * len(jobs)


def search_chunks(tx: Tx, queries: list[_Query]) -> Sequence[list[Hit]]:
    """Statement for the writer: answers each query."""
    return [chunks.nearest(tx, q.project_id, q.model, q.vector, q.limit) for q in queries]


def _hit_json(hit: Hit) -> dict[str, Any]:
    return {**asdict(hit), "job_id": public_id(hit.job_id), "chunk_id": str(hit.chunk_id)}
