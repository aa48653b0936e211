"""A job as JSON, and times in it: the one shape that the API, webhooks and the CLI show."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from factory.domain.job import public_id
from factory.domain.job_fields import ASKED
from factory.domain.money import usd_from_micros
from factory.store.jobs import JobView


def job_json(job: JobView, position: int | None = None) -> dict[str, Any]:
    """The Job of docs/reference/api.md. `cost_usd` null: not finished yet, or not known (`unknown_calls` > 0)."""
    return {
        "id": public_id(job.id),
        "object": "job",
        "kind": job.kind,
        "state": job.state.value,
        "agent": job.agent,
        "agent_version": job.agent_version,
        "provider": job.provider,
        "model": job.model,
        "lane": job.lane,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "deferrals": job.deferrals,
        "position": position,
        "progress": None,
        "cancel_requested": job.cancel_requested,
        "result": job.output,
        "usage": {
            "input_tokens": job.input_tokens,
            "output_tokens": job.output_tokens,
            "cached_tokens": job.cached_tokens,
        },
        "cost_usd": usd_from_micros(job.cost_micros),
        "unknown_cost_calls": job.unknown_calls,
        "error": job.error,
        "metadata": job.metadata,
        "parent_id": public_id(job.parent_id) if job.parent_id else None,
        "trace_id": _trace_id(job.traceparent),
        "created_at": time_json(job.created_at),
        "run_at": time_json(job.run_at),
        "started_at": time_json(job.started_at),
        "finished_at": time_json(job.finished_at),
        **{name: _plain(getattr(job, name)) for name in ASKED},
    }


def _trace_id(traceparent: str | None) -> str | None:
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) > 1 else None


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def time_json(when: datetime | None) -> str | None:
    """A time in UTC, with a Z."""
    return when.isoformat().replace("+00:00", "Z") if when else None


def stored_time(postgres: str) -> str:
    """A time as Postgres writes it into JSON."""
    return postgres.replace("+00:00", "Z")
