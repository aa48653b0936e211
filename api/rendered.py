"""A job in full, and errors, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from factory.domain.job import public_id
from factory.domain.money import usd_from_micros
from factory.domain.state import State
from factory.domain.waiting import Waiting, WaitType
from factory.errors import FactoryError
from factory.kinds.job_json import job_json, stored_time, time_json
from factory.kinds.registry import KINDS
from factory.kinds.webhook.show import delivery_json
from factory.store.details import JobDetail


def detail_json(job: JobDetail) -> dict[str, Any]:
    """One job with its input and its calls."""
    waits = job.state is State.QUEUED
    return {
        **job_json(job),
        "error": job.error or job.last_error,
        "input": _shown_input(job),
        "params": job.params,
        "fallbacks": job.fallbacks,
        "fallback_on": job.input.get("fallback_on", []) if isinstance(job.input, dict) else [],
        "max_cost_usd": usd_from_micros(job.max_cost_micros),
        "deadline_at": time_json(job.deadline_at),
        "next_attempt_at": time_json(job.run_at) if waits else None,
        "waiting_for": _wait_json(job.waiting_for, job.run_at) if job.waiting_for else None,
        "attempts": [_call_json(call) for call in job.calls],
        "webhook": delivery_json(job),
    }


def _wait_json(wait: Waiting, run_at: datetime) -> dict[str, Any]:
    """`until` only for a time, `jobs` only for children that were named."""
    return {
        "type": wait.type,
        "since": time_json(wait.since),
        "until": time_json(run_at) if wait.type == WaitType.TIME else None,
        "jobs": None if wait.jobs is None else [public_id(one) for one in wait.jobs],
    }


def _shown_input(job: JobDetail) -> Any:
    """As its kind shows it; as it is stored, for a kind of a newer version."""
    kind = KINDS.get(job.kind)
    return kind.shown_input(job.input) if kind and isinstance(job.input, dict) else job.input


def _call_json(call: Mapping[str, Any]) -> dict[str, Any]:
    """One call to a provider. `cost_usd` null: not known, or not ended."""
    failed = call["status"] == "failed"
    error = {"type": call["error_type"], "message": call["error_message"]} if failed else None
    return {
        "attempt": call["attempt"],
        "step": call["step_key"],
        "model": f"{call['provider']}/{call['model']}",
        "state": call["status"],
        "started_at": stored_time(call["started_at"]),
        "latency_ms": call["latency_ms"],
        "http_status": call["http_status"],
        "error": error,
        "usage": {
            name: call[name] or 0 for name in ("input_tokens", "output_tokens", "cached_tokens")
        },
        "cost_usd": usd_from_micros(call["cost_micros"]),
    }


def error_json(error: FactoryError) -> dict[str, str | None]:
    """The `error` member of an answer; `param` names the field that is to blame."""
    return {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
