"""One journaled call: its intent is committed before it, its end after it, even by a worker that lost its lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from factory.calls.ends import cut_end, failed_end, intent, paid_end
from factory.calls.journal import close_calls, open_calls
from factory.domain.job import ClaimedJob, new_id
from factory.domain.message import Completion, Embeddings
from factory.domain.money import FREE
from factory.errors import FactoryError, LeaseLost
from factory.llm.catalog import Model
from factory.redaction import Redactor
from factory.store.group_commit import GroupCommitter
from factory.store.journal import CallEnd
from factory.store.size import size_of

Answer = TypeVar("Answer", Completion, Embeddings)


@dataclass(frozen=True, slots=True)
class Calls:
    """What all calls of a worker need. Made once per process."""

    committer: GroupCommitter
    redactor: Redactor
    holds_leases: Callable[[], bool]
    """False once other workers may have this one's jobs: no call may be made any more."""


@dataclass(frozen=True, slots=True)
class Result:
    """A job's output; with `call`, the end of the call that gave it, to be committed with the job's own."""

    output: Any
    call: CallEnd | None = None


async def call_once(
    calls: Calls,
    job: ClaimedJob,
    step_key: str,
    model: Model,
    send: Callable[[], Awaitable[Answer]],
    output: Callable[[Answer], Any],
    opened: UUID | None = None,
) -> Result:
    """The step's output. The kind of the job commits the call's end: with the job's own, or by `close`.

    `opened`: the id of the call whose intent was committed with the claim. Records what `send` and `output` raise, and
    raises it again. A cancelled call is recorded as unknown spend.
    """
    call = intent(job, step_key, model, opened or new_id())
    started, sent = time.monotonic(), False
    try:
        may_call = opened is not None or await calls.committer.commit(open_calls, call)
        # The commit may have waited for Postgres longer than the lease lasts.
        if not may_call or not calls.holds_leases():
            raise LeaseLost("the lease ran out before the call was made")
        # A call to a free model costs nothing, however it ends.
        sent = model.price != FREE
        answer = await send()
        result = output(answer)
    except asyncio.CancelledError:
        await calls.committer.commit(close_calls, cut_end(call, started, sent))
        raise
    # Whatever broke the call, its end must be in the journal before the job's.
    except Exception as error:
        if isinstance(error, FactoryError):
            error.message = calls.redactor.public(error.message)
        await calls.committer.commit(close_calls, failed_end(call, error, started, sent))
        raise
    return Result(result, paid_end(call, answer, None, result))


async def close(calls: Calls, result: Result) -> None:
    """Commits the end of a call after which the job has more to do."""
    if result.call:
        await calls.committer.commit(close_calls, result.call, size_of(result.call.output))
