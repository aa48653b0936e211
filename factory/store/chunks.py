"""Pieces of text and their vectors, per project and model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from factory.store.database import Tx, as_json, rows, run


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A piece of a text with its vector. Offsets count characters of the source text."""

    id: UUID
    ordinal: int
    source: str
    start_offset: int
    end_offset: int
    content: str
    embedding: Sequence[float]


# An attempt after a crash writes the same ordinals; what was written first is kept.
INSERT = """
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(%(chunks)s AS json)) AS g(
        id uuid, ordinal int, source text, start_offset int, end_offset int, content text,
        embedding text)
), written AS (
    INSERT INTO chunks (id, project_id, job_id, ordinal, source, start_offset, end_offset, content)
    SELECT id, %(project_id)s, %(job_id)s, ordinal, source, start_offset, end_offset, content
      FROM given
    ON CONFLICT (job_id, ordinal) DO NOTHING
    RETURNING id
)
INSERT INTO embeddings (model, chunk_id, project_id, embedding)
SELECT %(model)s, g.id, %(project_id)s, CAST(g.embedding AS vector)
  FROM given g JOIN written w ON w.id = g.id
"""


def insert(tx: Tx, project_id: UUID, job_id: UUID, model: str, chunks: Sequence[NewChunk]) -> None:
    """Writes the chunks of a job and their vectors."""
    given = [_as_row(chunk) for chunk in chunks]
    params = {
        "chunks": as_json(given),
        "project_id": str(project_id),
        "job_id": str(job_id),
        "model": model,
    }
    run(tx, INSERT, params)


def _as_row(chunk: NewChunk) -> dict[str, Any]:
    return {
        "id": chunk.id,
        "ordinal": chunk.ordinal,
        "source": chunk.source,
        "start_offset": chunk.start_offset,
        "end_offset": chunk.end_offset,
        "content": chunk.content,
        "embedding": _vector(chunk.embedding),
    }


def _vector(values: Sequence[float]) -> str:
    """As pgvector reads it. Formatting all numbers at once takes half the time."""
    return ("[" + "%.8g," * len(values))[:-1] % tuple(values) + "]"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stored chunk comes from, and how many numbers its vector has."""

    source: str
    start: int
    end: int
    dimensions: int


STORED = """
SELECT c.ordinal, c.source, c.start_offset, c.end_offset, vector_dims(e.embedding) AS dimensions
  FROM chunks c JOIN embeddings e ON e.chunk_id = c.id AND e.model = %(model)s
 WHERE c.job_id = %(job_id)s
 ORDER BY c.ordinal
"""


def stored(tx: Tx, job_id: UUID, model: str) -> dict[int, Place]:
    """The job's stored chunks, by ordinal."""
    found = rows(tx, STORED, {"job_id": str(job_id), "model": model})
    return {
        row.ordinal: Place(row.source, row.start_offset, row.end_offset, row.dimensions)
        for row in found
    }


HAS_ANY = """
SELECT EXISTS (SELECT FROM embeddings WHERE project_id = %(project_id)s AND model = %(model)s) AS found
"""
ANY_MODEL = "SELECT model FROM embeddings WHERE project_id = %(project_id)s LIMIT 1"


def has_any(tx: Tx, project_id: UUID, model: str) -> bool:
    """Whether the project has a chunk that the model embedded."""
    found = rows(tx, HAS_ANY, {"project_id": str(project_id), "model": model})
    return bool(found[0].found)


def any_model(tx: Tx, project_id: UUID) -> str | None:
    """A model that embedded chunks of the project, if there is one."""
    found = rows(tx, ANY_MODEL, {"project_id": str(project_id)})
    return str(found[0].model) if found else None


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk near the query; `score` is cosine similarity, 1 for the same direction."""

    chunk_id: UUID
    job_id: UUID
    source: str
    start_offset: int
    end_offset: int
    content: str
    score: float


# The expression must be the HNSW index's own, or the planner scans the partition.
NEAREST_384 = """
SELECT n.chunk_id, c.job_id, c.source, c.start_offset, c.end_offset, c.content, 1 - n.distance AS score
  FROM (SELECT e.chunk_id,
               e.embedding::halfvec(384) <=> CAST(%(query)s AS halfvec(384)) AS distance
          FROM embeddings e
         WHERE e.model = %(model)s AND e.project_id = %(project_id)s
         ORDER BY e.embedding::halfvec(384) <=> CAST(%(query)s AS halfvec(384))
         LIMIT %(limit)s) n
  JOIN chunks c ON c.id = n.chunk_id
 ORDER BY n.distance
"""
# Models without an index of their own are searched exactly. A name may stand for another model than it did before, as
# with Ollama. Vectors of another length come from that model and cannot be compared.
NEAREST = """
SELECT e.chunk_id, c.job_id, c.source, c.start_offset, c.end_offset, c.content,
       1 - (e.embedding <=> CAST(%(query)s AS vector)) AS score
  FROM embeddings e JOIN chunks c ON c.id = e.chunk_id
 WHERE e.model = %(model)s AND e.project_id = %(project_id)s
   AND vector_dims(e.embedding) = %(dimensions)s
 ORDER BY e.embedding <=> CAST(%(query)s AS vector)
 LIMIT %(limit)s
"""
INDEXED = {"local/all-minilm-l6-v2": NEAREST_384}


def nearest(tx: Tx, project_id: UUID, model: str, query: Sequence[float], limit: int) -> list[Hit]:
    """The project's chunks nearest to the query vector, nearest first."""
    # Without an iterative scan a filtered HNSW search finds a fraction of what there is.
    run(tx, "SET LOCAL hnsw.iterative_scan = relaxed_order")
    params: dict[str, Any] = {
        "query": _vector(query),
        "model": model,
        "project_id": str(project_id),
        "limit": limit,
        "dimensions": len(query),
    }
    found = rows(tx, INDEXED.get(model, NEAREST), params)
    # A vector of zeros has no direction: its distance to anything is NaN.
    return [Hit(**row._asdict()) for row in found if not math.isnan(row.score)]
