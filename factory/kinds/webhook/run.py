"""Runs a webhook: delivers one event to one receiver."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from factory.calls.gate import Result
from factory.domain.job import ClaimedJob, new_id
from factory.errors import WebhookFailed, WebhookRefused
from factory.kinds.job_json import job_json
from factory.kinds.means import Means
from factory.store import deliveries
from factory.store.codec import told_job, understood
from factory.store.database import Tx
from factory.store.deliveries import Attempt
from factory.store.jobs import JobView
from factory.webhooks.sign import derive_secrets, event_body


async def deliver(means: Means, job: ClaimedJob) -> Result:
    """Posts the event once and logs the delivery. Raises WebhookFailed or WebhookRefused."""
    subject = told_job(understood(job.input)["job"])
    body = _body(means, job, subject)
    secrets = derive_secrets(means.settings, str(job.project_id))
    started = time.monotonic()
    try:
        delivery = await means.webhooks.deliver(
            job.webhook_url or "", f"msg_{job.id.hex}", body, secrets, datetime.now(UTC)
        )
    except (WebhookFailed, WebhookRefused) as error:
        error.message = means.redactor.public(error.message)
        await _log(means, job, started, error.http_status, error.message)
        raise
    await _log(means, job, started, delivery.http_status, None)
    answer = {"http_status": delivery.http_status, "duration_ms": delivery.duration_ms}
    return Result(answer)


def _body(means: Means, job: ClaimedJob, subject: JobView) -> bytes:
    """The event without any secret, and without a result that is too large for a receiver."""
    shown = job_json(subject)
    event = (f"msg_{job.id.hex}", job.input["type"], subject.finished_at or subject.created_at)
    body = event_body(*event, shown)
    if len(body) > means.settings.webhook_max_bytes:
        body = event_body(*event, {**shown, "result": None, "result_omitted": True})
    return means.redactor.scrub(body)


async def _log(
    means: Means, job: ClaimedJob, started: float, status: int | None, error: str | None
) -> None:
    attempt = Attempt(
        id=new_id(),
        project_id=job.project_id,
        job_id=job.id,
        attempt=job.attempt,
        url=job.webhook_url or "",
        event_type=job.input["type"],
        http_status=status,
        error=error,
        duration_ms=round((time.monotonic() - started) * 1000),
    )
    await means.committer.write(log_attempts, attempt)


def log_attempts(tx: Tx, attempts: list[Attempt]) -> Sequence[None]:
    """Batch statement: logs deliveries."""
    deliveries.log(tx, attempts)
    return [None] * len(attempts)
