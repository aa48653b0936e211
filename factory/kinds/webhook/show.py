"""How a webhook is shown: with the job whose end it reports."""

from __future__ import annotations

from typing import Any

from factory.domain.state import State
from factory.kinds.job_json import stored_time
from factory.store.details import JobDetail


def delivery_json(job: JobDetail) -> dict[str, Any] | None:
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
        "next_at": stored_time(sent["next_at"]) if waits else None,
    }
