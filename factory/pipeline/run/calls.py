"""One journaled call: its intent is committed before it, its end after it, even by a worker that lost its lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from factory import metrics
from factory.domain.job import ClaimedJob, JobError, new_id
from factory.domain.message import Completion, Embeddings
from factory.domain.money import FREE, Usage
from factory.errors import (
    AttemptBroken,
    FactoryError,
    InvalidInput,
    JobFailure,
    LeaseLost,
    ProviderError,
)
from factory.llm.catalog import Model
from factory.metrics import Delta, delta
from factory.pipeline.run.size import size_of
from factory.pipeline.run.worker import Worker
from factory.store import counters, journal
from factory.store.database import Tx
from factory.store.journal import Call, CallEnd, Step

MESSAGE_CHARS = 500

Answer = TypeVar("Answer", Completion, Embeddings)


@dataclass(frozen=True, slots=True)
class Result:
    """A job's output; with `call`, the end of the call that gave it, to be committed with the job's own."""

    output: Any
    call: CallEnd | None = None


async def call_once(
    worker: Worker,
    job: ClaimedJob,
    step_key: str,
    model: Model,
    send: Callable[[], Awaitable[Answer]],
    output: Callable[[Answer], Any],
    opened: UUID | None = None,
) -> Result:
    """The step's output. The caller commits the call's end: with the job's own, or by `close`.

    `opened`: the id of the call whose intent was committed with the claim. Records what `send` and `output` raise, and
    raises it again. A cancelled call is recorded as unknown spend.
    """
    call = intent(job, step_key, model, opened or new_id())
    started, sent = time.monotonic(), False
    try:
        may_call = opened is not None or await worker.committer.commit(open_calls, call)
        # The commit may have waited for Postgres longer than the lease lasts.
        if not may_call or not worker.holds_leases():
            raise LeaseLost("the lease ran out before the call was made")
        # A call to a free model costs nothing, however it ends.
        sent = model.price != FREE
        answer = await send()
        result = output(answer)
    except asyncio.CancelledError:
        await worker.committer.commit(close_calls, _cut_end(call, started, sent))
        raise
    # Whatever broke the call, its end must be in the journal before the job's.
    except Exception as error:
        if isinstance(error, FactoryError):
            error.message = worker.redactor.public(error.message)
        await worker.committer.commit(close_calls, _failed_end(call, error, started, sent))
        raise
    return Result(result, _paid_end(call, answer, None, result))


async def close(worker: Worker, result: Result) -> None:
    """Commits the end of a call after which the job has more to do."""
    if result.call:
        await worker.committer.commit(close_calls, result.call, size_of(result.call.output))


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


def _paid_end(
    call: Call, answer: Completion | Embeddings, error: FactoryError | None, output: Any = None
) -> CallEnd:
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


def _failed_end(call: Call, error: Exception, started: float, sent: bool) -> CallEnd:
    """An answer that cannot be used costs what it says. An error that the provider answered costs nothing, nor does a
    request that was refused before it was sent. The cost of anything else is unknown.
    """
    told = error if isinstance(error, FactoryError) else AttemptBroken(broken_words(error))
    status = getattr(error, "http_status", None)
    paid = error.completion if isinstance(error, JobFailure) else None
    if paid is not None:
        return replace(_paid_end(call, paid, told), http_status=status)
    refused_here = isinstance(error, InvalidInput)
    refused_there = isinstance(error, ProviderError) and not error.may_be_billed
    free = not sent or refused_here or refused_there
    return CallEnd(
        call.id,
        call.job_id,
        call.step_key,
        call.provider,
        call.model,
        Usage(),
        0 if free else None,
        _elapsed_ms(started),
        error_type=told.type,
        error_message=_told(told),
        http_status=status,
    )


def broken_words(error: Exception) -> str:
    """What is shown of an exception outside of our tree: its text may hold anything."""
    return f"internal error: {type(error).__name__}"


def _told(error: FactoryError) -> str:
    """As much of an error's message as is kept with a call."""
    return JobError.of(error).message[:MESSAGE_CHARS]


def never_sent(call: Call) -> CallEnd:
    """The end of a call that was opened with the claim and never made: it cost nothing."""
    return _cut_end(call, time.monotonic(), sent=False)


def _cut_end(call: Call, started: float, sent: bool) -> CallEnd:
    return CallEnd(
        call.id,
        call.job_id,
        call.step_key,
        call.provider,
        call.model,
        Usage(),
        None if sent else 0,
        _elapsed_ms(started),
        error_type="cancelled",
        error_message="the call was closed before its answer came" if sent else "never sent",
    )


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def open_calls(tx: Tx, calls: list[Call]) -> Sequence[bool]:
    """Batch statement: commits intents; False for a call that may not be made."""
    allowed = journal.open_calls(tx, calls)
    return [call.id in allowed for call in calls]


def close_calls(tx: Tx, ends: list[CallEnd]) -> Sequence[None]:
    """Batch statement: commits ends, and counts each once."""
    counters.add(tx, metrics.add_up(record_ends(tx, ends)))
    return [None] * len(ends)


def settle_usage(tx: Tx, job_ids: list[UUID]) -> Sequence[None]:
    """Batch statement: brings the usage of ended jobs up to date, where it is not known in full."""
    journal.settle(tx, job_ids)
    return [None] * len(job_ids)


def record_ends(tx: Tx, ends: Sequence[CallEnd]) -> list[Delta]:
    """Commits ends without counting them; gives what is to be counted."""
    closed = journal.close_calls(tx, ends)
    return [one for end in ends if end.call_id in closed for one in _deltas(end)]


def record_steps(tx: Tx, steps: list[Step]) -> Sequence[None]:
    """Batch statement: records the outputs of steps."""
    journal.record_steps(tx, steps)
    return [None] * len(steps)


MODEL_NAMES = metrics.ModelNames()


def _deltas(end: CallEnd) -> list[Delta]:
    where = {"provider": end.provider, "model": MODEL_NAMES.label(end.provider, end.model)}
    duration_s = end.latency_ms / 1000
    found = [
        delta(metrics.LLM_REQUESTS, status=end.error_type or "ok", **where),
        delta(metrics.LLM_TOKENS, end.usage.input_tokens, direction="input", **where),
        delta(metrics.LLM_TOKENS, end.usage.output_tokens, direction="output", **where),
        delta(metrics.LLM_DURATION_BUCKET, le=metrics.bucket_of(duration_s), **where),
        delta(metrics.LLM_DURATION_SUM, duration_s, **where),
    ]
    if end.cost_micros is None:
        found.append(delta(metrics.LLM_UNKNOWN_COST, **where))
    else:
        found.append(delta(metrics.LLM_COST_DOLLARS, end.cost_micros / 1_000_000, **where))
        day = datetime.now(UTC).date().isoformat()
        found.append(delta(metrics.LLM_COST_MICROS_OF_DAY, end.cost_micros, day=day))
    return found
