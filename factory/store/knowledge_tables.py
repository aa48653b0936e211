"""Pieces of texts, and their vectors."""

from __future__ import annotations

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    Column,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import UUID

from factory.store.metadata import metadata, when

chunks = Table(
    "chunks",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("project_id", UUID, nullable=False),
    Column("job_id", UUID, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("start_offset", Integer, nullable=False),
    Column("end_offset", Integer, nullable=False),
    Column("content", Text, nullable=False),
    when("created_at", required=True),
    UniqueConstraint("job_id", "ordinal"),
    Index("ix_chunks_project", "project_id"),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("model", Text, primary_key=True),
    Column("chunk_id", UUID, primary_key=True),
    Column("project_id", UUID, nullable=False),
    Column("embedding", VECTOR, nullable=False),
    Index("ix_embeddings_project", "project_id", "model"),
    postgresql_partition_by="LIST (model)",
)
"""One partition per model, each with its own HNSW index; models without one land in the default partition."""
