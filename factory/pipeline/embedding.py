"""The job kinds `embedding` and `search`: texts to vectors in pgvector, and the way back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from factory.domain.job import ClaimedJob, Kind, new_id, public_id
from factory.domain.lanes import LOCAL, Priority
from factory.domain.message import Embeddings
from factory.domain.money import Usage
from factory.knowledge.schedule import Owner
from factory.limits.budget import CallSize, most_tokens
from factory.llm.call import CallTrace
from factory.llm.catalog import Model
from factory.pipeline.calls import Result, call_once, close
from factory.pipeline.spending import open_budget
from factory.pipeline.worker import Worker
from factory.store import chunks
from factory.store.chunks import Hit, NewChunk
from factory.store.database import Tx

STEP = "embed"


async def embed(worker: Worker, job: ClaimedJob) -> Result:
    """Chunks the texts, embeds the chunks and stores both; gives what is now searchable.

    The chunks are committed before the call's end is, all together: an attempt that finds them neither
    pays nor stores again.
    """
    model = worker.catalog.find(job.model or "")
    stored = await worker.reader.read(
        job.project_id, lambda tx: chunks.stored(tx, job.id, model.id)
    )
    if not stored.sources:
        pieces = await _split(worker, job)
        tokens = sum(most_tokens(piece.content) for piece in pieces)
        budget = open_budget(worker.catalog, job, CallSize(tokens, max_output_tokens=0))
        budget.output_tokens(model.price, 0)

        async def send() -> Embeddings:
            answer = await _ask(worker, job, model, [piece.content for piece in pieces])
            new = _chunks(pieces, answer.vectors)
            chunks_of_job = _Chunks(job.project_id, job.id, model.id, new)
            await worker.writer.commit(insert_chunks, chunks_of_job, _bytes(new))
            return answer

        texts = {"texts": len(pieces)}
        await close(worker, await call_once(worker, job, STEP, model, send, lambda _: texts))
        stored = await worker.reader.read(
            job.project_id, lambda tx: chunks.stored(tx, job.id, model.id)
        )
    found = {
        "model": model.id,
        "dimensions": stored.dimensions,
        "chunks": sum(stored.sources.values()),
        "sources": stored.sources,
    }
    return Result(found)


async def find_nearest(worker: Worker, job: ClaimedJob) -> Result:
    """The project's chunks nearest to the query. An attempt after a crash embeds the query again."""
    model = worker.catalog.find(job.model or "")
    kept: list[Embeddings] = []

    async def send() -> Embeddings:
        kept.append(await _ask(worker, job, model, [job.input["query"]]))
        return kept[0]

    await close(worker, await call_once(worker, job, STEP, model, send, lambda _: {"texts": 1}))
    vector, limit = kept[0].vectors[0], job.input["limit"]
    hits = await worker.reader.read(
        job.project_id, lambda tx: chunks.nearest(tx, job.project_id, model.id, vector, limit)
    )
    return Result({"model": model.id, "hits": [_hit_json(hit) for hit in hits]})


async def _ask(worker: Worker, job: ClaimedJob, model: Model, texts: Sequence[str]) -> Embeddings:
    if model.provider == LOCAL:
        return await _embed_locally(worker, job, model, texts)
    trace = CallTrace(
        public_id(job.id), STEP, job.attempt, job.traceparent, owner=str(job.project_id)
    )
    return await worker.client.embed(model, texts, trace)


def _chunks(pieces: Sequence[_Piece], vectors: Sequence[Sequence[float]]) -> list[NewChunk]:
    return [
        NewChunk(new_id(), ordinal, piece.source, piece.start, piece.end, piece.content, vector)
        for ordinal, (piece, vector) in enumerate(zip(pieces, vectors, strict=True))
    ]


async def _embed_locally(
    worker: Worker, job: ClaimedJob, model: Model, texts: Sequence[str]
) -> Embeddings:
    started = time.monotonic()
    vectors, tokens = await worker.local.embed(texts, _owner(job))
    elapsed_ms = round((time.monotonic() - started) * 1000)
    return Embeddings(LOCAL, model.name, vectors, Usage(tokens), 0, elapsed_ms)


def _owner(job: ClaimedJob) -> Owner:
    priority = Priority(job.lane.rpartition(".")[2])
    return Owner(job.project_id, priority, is_query=job.kind is Kind.SEARCH)


@dataclass(frozen=True, slots=True)
class _Piece:
    source: str
    start: int
    end: int
    content: str


async def _split(worker: Worker, job: ClaimedJob) -> list[_Piece]:
    texts = job.input["texts"]
    found = await worker.local.split([text for _, text in texts], _owner(job))
    return [
        _Piece(source, chunk.start, chunk.end, chunk.text)
        for (source, _), chunks_of_text in zip(texts, found, strict=True)
        for chunk in chunks_of_text
    ]


@dataclass(frozen=True, slots=True)
class _Chunks:
    project_id: UUID
    job_id: UUID
    model: str
    chunks: list[NewChunk]


def _bytes(pieces: Sequence[NewChunk]) -> int:
    """About what they take as JSON, in which a number of a vector takes 12."""
    return sum(len(piece.content) + 12 * len(piece.embedding) for piece in pieces)


def insert_chunks(tx: Tx, jobs: list[_Chunks]) -> Sequence[None]:
    """Statement for the writer: stores the chunks of each job."""
    for job in jobs:
        chunks.insert(tx, job.project_id, job.job_id, job.model, job.chunks)
    return [None] * len(jobs)


def _hit_json(hit: Hit) -> dict[str, Any]:
    return {**asdict(hit), "job_id": public_id(hit.job_id), "chunk_id": str(hit.chunk_id)}
