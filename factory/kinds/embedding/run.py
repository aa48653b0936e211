"""Runs an embedding: texts are cut into pieces, which become vectors in pgvector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from factory.calls.gate import Result
from factory.calls.passage import Passage
from factory.calls.spending import open_budget
from factory.domain.job import ClaimedJob, new_id
from factory.domain.message import Embeddings
from factory.errors import ProviderCutOff
from factory.kinds.embedding.show import summary_json
from factory.kinds.means import Means
from factory.kinds.vectors import ask_vectors, owner_of, size_of_texts
from factory.llm.catalog import Model
from factory.llm.embedding_calls import calls_of
from factory.store import chunks
from factory.store.chunks import NewChunk, Place
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
    return Result(summary_json(model, places))


@dataclass(frozen=True, slots=True)
class _Piece:
    source: str
    start: int
    end: int
    content: str


async def _split(means: Means, job: ClaimedJob) -> list[_Piece]:
    texts = texts_of(job.input)
    found = await means.local.split([text for _, text in texts], owner_of(job))
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
    budget = open_budget(means.catalog, job, size_of_texts(texts))
    kept: list[Embeddings] = []

    async def send(passage: Passage) -> tuple[Embeddings, Any]:
        kept.append(await ask_vectors(means, job, passage, texts))
        return kept[0], {"texts": len(texts)}

    result = await means.gate.call(job, step_key, model, budget, send)
    try:
        await _store(means, job, model, pieces, kept[0], places)
    finally:
        # The cost is known, even if the vectors could not be stored.
        await means.gate.record(result)
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
