"""The job kinds `embedding` and `search`: texts to vectors in pgvector, and the way back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from factory.calls.call import Result, call_once, close
from factory.calls.spending import open_budget
from factory.domain.job import ClaimedJob, Kind, new_id, public_id
from factory.domain.lanes import Priority
from factory.domain.message import Embeddings
from factory.domain.money import Usage
from factory.errors import ProviderCutOff
from factory.kinds.means import Means
from factory.knowledge.schedule import Owner
from factory.limits.budget import CallSize, most_tokens
from factory.llm.call import CallTrace
from factory.llm.catalog import LOCAL_EMBEDDING, Model
from factory.llm.embedding_calls import calls_of
from factory.store import chunks
from factory.store.chunks import Hit, NewChunk, Place
from factory.store.codec import texts_of
from factory.store.database import Tx

STEP = "embed"
"""The first call's step; those of the others are `embed:1`, `embed:2` and so on."""
NUMBERS_AT_ONCE = 100_000
"""How many numbers of vectors are stored by one transaction: a tenth of a second's work."""


async def embed(means: Means, job: ClaimedJob) -> Result:
    """Chunks the texts, embeds the chunks and stores both; gives what is now searchable.

    Makes as many calls as the provider's limits demand, one after the other. Vectors are stored before the end of
    their call is committed: an attempt after a crash finds them, and calls only for the rest.
    """
    model = means.catalog.find(job.model or "")
    pieces = await _split(means, job)
    places = await means.reader.read(job.project_id, lambda tx: chunks.stored(tx, job.id, model.id))
    if not _are_cut_elsewhere(pieces, places):
        for number, call in enumerate(calls_of(model, [piece.content for piece in pieces])):
            step_key = STEP if number == 0 else f"{STEP}:{number}"
            missing = {n: pieces[n] for n in call if n not in places}
            if missing:
                job = await _embed_part(means, job, model, step_key, missing, places)
    return Result(_summary(model, places))


async def find_nearest(means: Means, job: ClaimedJob) -> Result:
    """The project's chunks nearest to the query. An attempt after a crash embeds the query again."""
    model = means.catalog.find(job.model or "")
    kept: list[Embeddings] = []

    async def send() -> Embeddings:
        kept.append(await _ask(means, job, model, STEP, [job.input["query"]]))
        return kept[0]

    await close(
        means.calls, await call_once(means.calls, job, STEP, model, send, lambda _: {"texts": 1})
    )
    # An answer without the vector of its only text was refused before.
    vector, limit = kept[0].vectors[0] or [], job.input["limit"]
    hits = await means.reader.read(
        job.project_id, lambda tx: chunks.nearest(tx, job.project_id, model.id, vector, limit)
    )
    return Result({"model": model.id, "hits": [_hit_json(hit) for hit in hits]})


@dataclass(frozen=True, slots=True)
class _Piece:
    source: str
    start: int
    end: int
    content: str


async def _split(means: Means, job: ClaimedJob) -> list[_Piece]:
    texts = texts_of(job.input)
    found = await means.local.split([text for _, text in texts], _owner(job))
    return [
        _Piece(source, chunk.start, chunk.end, chunk.text)
        for (source, _), chunks_of_text in zip(texts, found, strict=True)
        for chunk in chunks_of_text
    ]


def _are_cut_elsewhere(pieces: Sequence[_Piece], places: Mapping[int, Place]) -> bool:
    """Whether an earlier version, which splits texts elsewhere, stored the chunks: it stored all of a job or nothing."""
    return any(
        n >= len(pieces)
        or (place.source, place.start, place.end)
        != (pieces[n].source, pieces[n].start, pieces[n].end)
        for n, place in places.items()
    )


async def _embed_part(
    means: Means,
    job: ClaimedJob,
    model: Model,
    step_key: str,
    pieces: Mapping[int, _Piece],
    places: dict[int, Place],
) -> ClaimedJob:
    """Makes one call for the pieces, given by ordinal. Adds what it stored to `places`; gives the job with its new spend.

    Raises ProviderCutOff when the answer lacks a vector; those that it has are stored all the same.
    """
    texts = [piece.content for piece in pieces.values()]
    size = CallSize(sum(map(most_tokens, texts)), max_output_tokens=0)
    open_budget(means.catalog, job, size).output_tokens(model.price, 0)
    kept: list[Embeddings] = []

    async def send() -> Embeddings:
        kept.append(await _ask(means, job, model, step_key, texts))
        return kept[0]

    result = await call_once(
        means.calls, job, step_key, model, send, lambda _: {"texts": len(texts)}
    )
    try:
        await _store(means, job, model, pieces, kept[0], places)
    finally:
        # The cost is known, even if the vectors could not be stored.
        await close(means.calls, result)
    return _after(job, model, kept[0])


async def _store(
    means: Means,
    job: ClaimedJob,
    model: Model,
    pieces: Mapping[int, _Piece],
    answer: Embeddings,
    places: dict[int, Place],
) -> None:
    """On the reader's connections and in small transactions, so that commits of other jobs do not wait."""
    new = _chunks(pieces, answer.vectors)
    _check_dimensions(model, new, places)
    rows = max(1, NUMBERS_AT_ONCE // len(new[0].embedding))
    for start in range(0, len(new), rows):
        part = new[start : start + rows]
        await means.reader.read(job.project_id, partial(_insert, job, model, part))
        for one in part:
            dimensions = len(one.embedding)
            places[one.ordinal] = Place(one.source, one.start_offset, one.end_offset, dimensions)
    if len(new) < len(pieces):
        first = next(piece for n, piece in pieces.items() if n not in places)
        raise ProviderCutOff(
            f"{model.provider} gave no vector that can be used for {len(pieces) - len(new)} of {len(pieces)} texts; "
            f"the first is {first.source[:200]!r} from {first.start} to {first.end}",
            provider=model.provider,
            http_status=200,
        )


def _insert(job: ClaimedJob, model: Model, new: Sequence[NewChunk], tx: Tx) -> None:
    chunks.insert(tx, job.project_id, job.id, model.id, new)


def _check_dimensions(model: Model, new: Sequence[NewChunk], places: Mapping[int, Place]) -> None:
    """Raises ProviderCutOff if the vectors are longer or shorter than those of the job's earlier calls."""
    length = len(new[0].embedding)
    earlier = next((place.dimensions for place in places.values()), length)
    if length != earlier:
        raise ProviderCutOff(
            f"{model.id} gave vectors of {length} numbers; those that the job has stored are of {earlier}",
            provider=model.provider,
            http_status=200,
        )


def _after(job: ClaimedJob, model: Model, answer: Embeddings) -> ClaimedJob:
    """The job with the call's cost added, for the check before the next call."""
    if answer.cost_micros is None:
        return replace(job, unknown_models=(*job.unknown_models, model.id))
    return replace(job, spent_micros=job.spent_micros + answer.cost_micros)


def _chunks(
    pieces: Mapping[int, _Piece], vectors: Sequence[Sequence[float] | None]
) -> list[NewChunk]:
    return [
        NewChunk(new_id(), n, piece.source, piece.start, piece.end, piece.content, vector)
        for (n, piece), vector in zip(pieces.items(), vectors, strict=True)
        if vector is not None
    ]


def _summary(model: Model, places: Mapping[int, Place]) -> dict[str, Any]:
    in_order = [places[n] for n in sorted(places)]
    return {
        "model": model.id,
        "dimensions": in_order[0].dimensions if in_order else 0,
        "chunks": len(in_order),
        "sources": dict(Counter(place.source for place in in_order)),
    }


async def _ask(
    means: Means, job: ClaimedJob, model: Model, step_key: str, texts: Sequence[str]
) -> Embeddings:
    if model.id != LOCAL_EMBEDDING.id:
        trace = CallTrace(
            public_id(job.id), step_key, job.attempt, job.traceparent, owner=str(job.project_id)
        )
        return await means.client.embed(model, texts, trace)
    started = time.monotonic()
    vectors, tokens = await means.local.embed(texts, _owner(job))
    elapsed_ms = round((time.monotonic() - started) * 1000)
    return Embeddings(model.provider, model.name, vectors, Usage(tokens), 0, elapsed_ms)


def _owner(job: ClaimedJob) -> Owner:
    priority = Priority(job.lane.rpartition(".")[2])
    return Owner(job.project_id, priority, is_query=job.kind is Kind.SEARCH)


def _hit_json(hit: Hit) -> dict[str, Any]:
    return {**asdict(hit), "job_id": public_id(hit.job_id), "chunk_id": str(hit.chunk_id)}
