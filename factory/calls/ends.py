"""What is written of a call: before it is made, and however it ends."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any
from uuid import UUID

from factory.domain.job import ClaimedJob, JobError
from factory.domain.message import Completion, Embeddings
from factory.domain.money import Usage
from factory.errors import AttemptBroken, FactoryError, InvalidInput, JobFailure, ProviderError
from factory.llm.catalog import Model
from factory.store.journal import Call, CallEnd

MESSAGE_CHARS = 500


def intent(job: ClaimedJob, step_key: str, model: Model, call_id: UUID) -> Call:
    """What is written before a call is made."""
    return Call(
        call_id,
        job.id,
        job.lease_token,
        job.project_id,
        step_key,
        job.attempt,
        model.provider,
        model.name,
    )


def paid_end(
    call: Call, answer: Completion | Embeddings, error: FactoryError | None, output: Any = None
) -> CallEnd:
    """The end of a call that was answered: it costs what the answer says."""
    return CallEnd(
        call.id,
        call.job_id,
        call.step_key,
        call.provider,
        call.model,
        answer.usage,
        answer.cost_micros,
        answer.latency_ms,
        error_type=error.type if error else None,
        error_message=_told(error) if error else None,
        output=output,
    )


def failed_end(call: Call, error: Exception, started: float, sent: bool) -> CallEnd:
    """An answer that cannot be used costs what it says. An error that the provider answered costs nothing, nor does a
    request that was refused before it was sent. The cost of anything else is unknown.
    """
    told = error if isinstance(error, FactoryError) else AttemptBroken(broken_words(error))
    status = getattr(error, "http_status", None)
    paid = error.completion if isinstance(error, JobFailure) else None
    if paid is not None:
        return replace(paid_end(call, paid, told), http_status=status)
    refused_here = isinstance(error, InvalidInput)
    refused_there = isinstance(error, ProviderError) and not error.may_be_billed
    free = not sent or refused_here or refused_there
    end = _unanswered_end(call, started, free, told.type, _told(told))
    return replace(end, http_status=status)


def broken_words(error: Exception) -> str:
    """What is shown of an exception that is not one of `factory.errors`: its type alone, as its text may hold secrets."""
    return f"internal error: {type(error).__name__}"


def _told(error: FactoryError) -> str:
    """As much of an error's message as is kept with a call."""
    return JobError.of(error).message[:MESSAGE_CHARS]


def never_sent(call: Call) -> CallEnd:
    """The end of a call that was opened with the claim and never made: it cost nothing."""
    return cut_end(call, time.monotonic(), sent=False)


def cut_end(call: Call, started: float, sent: bool) -> CallEnd:
    """The end of a call that was given up: if it was sent, nobody knows what it cost."""
    message = "the call was closed before its answer came" if sent else "never sent"
    return _unanswered_end(call, started, not sent, "cancelled", message)


def _unanswered_end(
    call: Call, started: float, free: bool, error_type: str, error_message: str
) -> CallEnd:
    return CallEnd(
        call.id,
        call.job_id,
        call.step_key,
        call.provider,
        call.model,
        Usage(),
        0 if free else None,
        round((time.monotonic() - started) * 1000),
        error_type=error_type,
        error_message=error_message,
    )
