"""What a worker writes about an attempt: the intent to call, the call's end, the outcome."""

from __future__ import annotations

from uuid import UUID

from factory.domain.job import Outcome
from factory.domain.money import Usage
from factory.domain.state import State
from factory.errors import ProviderRefused, ProviderUnavailable, RateLimited
from factory.pipeline.finish import outcome_of
from factory.store.journal import Call, CallEnd
from tests.integration.reliability.model import Lease

STEP = "answer"
OUTPUT = {"text": "hello"}
ERRORS = {
    "retry": ProviderUnavailable("away", provider="openai"),
    "defer": RateLimited("wait", provider="openai"),
    "fail": ProviderRefused("no", provider="openai"),
}


def intent(lease: Lease, call_id: UUID) -> Call:
    job = lease.job
    return Call(
        call_id,
        job.id,
        job.lease_token,
        job.project_id,
        STEP,
        job.attempt,
        provider="openai",
        model="gpt-4o-mini",
    )


def end_of(lease: Lease, error: str | None) -> CallEnd:
    assert lease.call_id
    return CallEnd(
        lease.call_id,
        lease.job.id,
        STEP,
        provider="openai",
        model="gpt-4o-mini",
        usage=Usage(1, 1, 0),
        cost_micros=1,
        latency_ms=5,
        error_type=error,
        output=None if error else OUTPUT,
    )


def outcome(lease: Lease, how: str) -> Outcome:
    if how == "succeed":
        return Outcome(lease.job.id, lease.job.lease_token, State.SUCCEEDED, output=OUTPUT)
    return outcome_of(lease.job, ERRORS[how], longest_wait_s=86_400.0)
