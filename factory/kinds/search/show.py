"""How a search is shown: its hits."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from factory.domain.job import public_id
from factory.domain.state import State
from factory.errors import FactoryError, Unavailable
from factory.store.chunks import Hit
from factory.store.jobs import JobView


class SearchFailed(FactoryError):
    """The search's job ended without an answer; `code` is the job's error type."""

    type = "search_failed"


def hit_json(hit: Hit) -> dict[str, Any]:
    """One piece: its place, its text, its score."""
    return {**asdict(hit), "job_id": public_id(hit.job_id), "chunk_id": str(hit.chunk_id)}


def hits_of(job: JobView | None) -> list[dict[str, Any]]:
    """The hits of a search that has ended. Raises SearchFailed; Unavailable while nobody has answered."""
    if job is None or not job.state.terminal:
        raise Unavailable("no worker with the embedding model answers; try again", retry_after_s=5)
    if job.state is not State.SUCCEEDED:
        error = job.error or {}
        raise SearchFailed(
            error.get("message", f"the search was {job.state}"), code=error.get("type")
        )
    hits: list[dict[str, Any]] = job.output["hits"]
    return hits
