"""Jobs and errors as JSON: the one shape that the API, webhooks and the CLI show."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from factory.domain.job import public_id
from factory.domain.money import usd_from_micros
from factory.domain.state import State
from factory.domain.waiting import Waiting, WaitType
from factory.errors import FactoryError
from factory.store.details import JobDetail
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
        "task_id": str(job.task_id) if job.task_id else None,
        "trace_id": _trace_id(job.traceparent),
        "created_at": _time(job.created_at),
        "run_at": _time(job.run_at),
        "started_at": _time(job.started_at),
        "finished_at": _time(job.finished_at),
    }


def detail_json(job: JobDetail) -> dict[str, Any]:
    """One job with its input and its calls."""
    waits = job.state is State.QUEUED
    return {
        **job_json(job),
        "error": job.error or job.last_error,
        "input": _asked(job.input),
        "params": job.params,
        "fallbacks": job.fallbacks,
        "fallback_on": job.input.get("fallback_on", []) if isinstance(job.input, dict) else [],
        "max_cost_usd": usd_from_micros(job.max_cost_micros),
        "deadline_at": _time(job.deadline_at),
        "next_attempt_at": _time(job.run_at) if waits else None,
        "waiting_for": _wait_json(job.waiting_for, job.run_at) if job.waiting_for else None,
        "attempts": [_call_json(call) for call in job.calls],
        "webhook": _webhook_json(job),
    }


def _wait_json(wait: Waiting, run_at: datetime) -> dict[str, Any]:
    """`until` only for a time, `jobs` only for children that were named."""
    return {
        "type": wait.type,
        "since": _time(wait.since),
        "until": _time(run_at) if wait.type == WaitType.TIME else None,
        "jobs": None if wait.jobs is None else [public_id(one) for one in wait.jobs],
    }


def _asked(job_input: Any) -> Any:
    """The messages or the texts; for other kinds of jobs their whole input."""
    if not isinstance(job_input, dict):
        return job_input
    texts = job_input.get("texts")
    if isinstance(texts, list):
        return [_text_json(text) for text in texts]
    return job_input.get("messages", job_input)


def _text_json(text: Any) -> Any:
    match text:
        case [source, content, *_]:
            return {"source": source, "text": content}
    return text


def _call_json(call: Mapping[str, Any]) -> dict[str, Any]:
    """One call to a provider. `cost_usd` null: not known, or not ended."""
    failed = call["status"] == "failed"
    error = {"type": call["error_type"], "message": call["error_message"]} if failed else None
    return {
        "attempt": call["attempt"],
        "step": call["step_key"],
        "model": f"{call['provider']}/{call['model']}",
        "state": call["status"],
        "started_at": _utc(call["started_at"]),
        "latency_ms": call["latency_ms"],
        "http_status": call["http_status"],
        "error": error,
        "usage": {
            name: call[name] or 0 for name in ("input_tokens", "output_tokens", "cached_tokens")
        },
        "cost_usd": usd_from_micros(call["cost_micros"]),
    }


def _webhook_json(job: JobDetail) -> dict[str, Any] | None:
    """The delivery of the job's event; `state` null while there is none yet."""
    if job.webhook_url is None:
        return None
    sent = job.webhook or {}
    waits = sent.get("state") == State.QUEUED
    return {
        "url": job.webhook_url,
        "state": sent.get("state"),
        "attempts": sent.get("attempt", 0),
        "last_status": sent.get("http_status"),
        "last_error": sent.get("error"),
        "next_at": _utc(sent["next_at"]) if waits else None,
    }


def _utc(postgres: str) -> str:
    """A time as Postgres writes it into JSON."""
    return postgres.replace("+00:00", "Z")


def error_json(error: FactoryError) -> dict[str, str | None]:
    """The `error` member of an answer; `param` names the field that is to blame."""
    return {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }


def _trace_id(traceparent: str | None) -> str | None:
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) > 1 else None


def _time(when: datetime | None) -> str | None:
    return when.isoformat().replace("+00:00", "Z") if when else None
