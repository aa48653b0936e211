"""Chunks and their vectors: written once, found by direction, one project's never in another's."""

from __future__ import annotations

from uuid import UUID

import pytest

from factory.domain.job import new_id
from factory.services import Services
from factory.store import chunks
from factory.store.chunks import NewChunk
from tests.integration.store.samples import OTHER_PROJECT, PROJECT, ask

MINILM = "local/all-minilm-l6-v2"
WIDE = "openai/text-embedding-3-small"


def _direction(axis: int, dimensions: int = 384) -> list[float]:
    return [1.0 if place == axis else 0.0 for place in range(dimensions)]


def _chunk(ordinal: int, vector: list[float]) -> NewChunk:
    return NewChunk(new_id(), ordinal, "book", 0, 4, f"text {ordinal}", vector)


def _insert(
    services: Services, job_id: UUID, *new: NewChunk, project: UUID = PROJECT, model: str = MINILM
) -> None:
    with services.database.transaction() as tx:
        chunks.insert(tx, project, job_id, model, new)


def _nearest(
    services: Services, query: list[float], *, model: str = MINILM, limit: int = 3
) -> list[chunks.Hit]:
    with services.database.transaction() as tx:
        return chunks.nearest(tx, PROJECT, model, query, limit)


@pytest.mark.parametrize(("model", "dimensions"), [(MINILM, 384), (WIDE, 1536)])
def test_the_nearest_chunk_comes_first(services: Services, model: str, dimensions: int) -> None:
    new = [_chunk(n, _direction(n, dimensions)) for n in range(5)]
    _insert(services, new_id(), *new, model=model)
    query = [0.9 * a + 0.1 * b for a, b in zip(new[2].embedding, new[3].embedding, strict=True)]
    hits = _nearest(services, query, model=model)
    assert [hit.content for hit in hits[:2]] == ["text 2", "text 3"]
    assert hits[0].score > 0.95


def test_another_project_is_never_found(services: Services) -> None:
    near = [_chunk(n, _direction(0)) for n in range(50)]
    _insert(services, new_id(), *near, project=OTHER_PROJECT)
    _insert(services, new_id(), _chunk(0, _direction(7)))
    [hit] = _nearest(services, _direction(0), limit=10)
    assert hit.score < 0.1


def test_another_model_is_never_found(services: Services) -> None:
    _insert(services, new_id(), _chunk(0, _direction(0)), model="openai/other")
    assert _nearest(services, _direction(0)) == []


def test_a_retried_job_writes_its_chunks_once(services: Services) -> None:
    job_id = new_id()
    for _ in range(2):
        _insert(services, job_id, _chunk(0, _direction(0)), _chunk(1, _direction(1)))
    assert len(ask(services, "SELECT FROM chunks")) == 2
    assert len(ask(services, "SELECT FROM embeddings")) == 2


def test_a_source_may_be_long(services: Services) -> None:
    """Its own index must not refuse it: text that does not compress, as a signed URL."""
    source = "".join(new_id().hex for _ in range(300))
    chunk = NewChunk(new_id(), 0, source, 0, 4, "text", _direction(0))
    _insert(services, new_id(), chunk)
    [hit] = _nearest(services, _direction(0))
    assert hit.source == source
