"""What a request was answered with: the jobs that it made, not the JSON that was sent.

It is kept with an idempotency key, and rendered again for each repetition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from factory.domain.job import public_id
from factory.domain.state import State
from factory.errors import InvalidInput, NewerFormat
from factory.store.codec import understood
from factory.store.jobs import NOT_STARTED, JobView


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What the release before kept of an answer: JSON, to be sent as it is."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line of a bulk that made no job, counted from 1, and what was wrong with it."""

    line: int
    message: str
    type: str
    param: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class BulkAccepted:
    """The jobs of a bulk, in the order of its good lines, and the other lines."""

    ids: Sequence[UUID]
    rejected: Sequence[Rejected]


LINE = tuple(field.name for field in fields(Rejected))


def rejected(line: int, error: InvalidInput) -> Rejected:
    """The line that this error speaks of."""
    return Rejected(line, error.message, error.type, error.param, error.code)


def stored_job(job: JobView) -> dict[str, Any]:
    """What of an accepted job changes later; the rest is read from the job itself."""
    return {"v": 1, "status": job.state, "run_at": job.run_at}


def stored_bulk(bulk: BulkAccepted) -> dict[str, Any]:
    """All of it: nothing else knows the lines that were rejected."""
    return {"v": 1, "ids": bulk.ids, "rejected": [asdict(line) for line in bulk.rejected]}


def job_as_accepted(job: JobView, stored: Any) -> JobView | None:
    """The job as it was when it was accepted. None if that was not stored in a form that is known here."""
    kept = _readable(stored)
    if "status" not in kept or "run_at" not in kept:
        return None
    return replace(
        job,
        state=State.named(kept["status"]),
        run_at=datetime.fromisoformat(kept["run_at"]),
        expired=False,
        **NOT_STARTED,
    )


def bulk_as_accepted(stored: Any) -> BulkAccepted | None:
    """The bulk. None if it was not stored in a form that is known here."""
    kept = _readable(stored)
    if "ids" not in kept:
        return None
    lines = [Rejected(**{name: line.get(name) for name in LINE}) for line in kept["rejected"]]
    return BulkAccepted([UUID(one) for one in kept["ids"]], lines)


def bulk_json(bulk: BulkAccepted) -> dict[str, Any]:
    """The answer to a bulk. Kept as well for gateways of the release before."""
    return {
        "accepted": len(bulk.ids),
        "rejected": [
            {
                "line": one.line,
                "error": {
                    "message": one.message,
                    "type": one.type,
                    "param": one.param,
                    "code": one.code,
                },
            }
            for one in bulk.rejected
        ],
        "ids": [public_id(job_id) for job_id in bulk.ids],
    }


def _readable(stored: Any) -> Mapping[str, Any]:
    """Empty where nothing was stored, or where only a newer version can read it."""
    try:
        return understood(stored or {})
    except NewerFormat:
        return {}
