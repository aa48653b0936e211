"""The job kind `completion`: one answer of a model, or of the first fallback that gives one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from factory.domain.job import ClaimedJob, public_id
from factory.domain.message import Completion, Message, Params, Role
from factory.domain.text import without_nul
from factory.errors import FactoryError, ProviderError
from factory.limits.budget import CallSize
from factory.llm.call import CallTrace
from factory.llm.catalog import Catalog, Model
from factory.llm.route import route, should_fall_back
from factory.pipeline.calls import Result, call_once, intent
from factory.pipeline.spending import open_budget
from factory.pipeline.worker import Worker
from factory.store.journal import Call

STEP = "answer"


async def complete(worker: Worker, job: ClaimedJob) -> Result:
    """The answer as JSON. A step that an earlier attempt paid for is not called again."""
    if STEP in job.steps:
        return Result(job.steps[STEP])
    budget = open_budget(worker.catalog, job, _size(job))
    failures: list[FactoryError] = []
    opened = job.first_call
    for model in route(worker.catalog, job.model or "", job.fallbacks):
        try:
            budget.check(model.price)
            return await _ask(worker, job, model, opened)
        except FactoryError as error:
            failures.append(error)
            opened = None
            if not should_fall_back(error):
                break
            if isinstance(error, ProviderError) and error.may_be_billed:
                budget.write_off(model.price)
    # If any model may answer later, the job is worth another attempt.
    raise next((error for error in failures if error.retryable), failures[0])


def first_call(catalog: Catalog, job: ClaimedJob, call_id: UUID) -> Call | None:
    """The call that `complete` begins with, so that its intent can be committed with the claim.

    None where the job may not make it, or needs none. What is wrong with it is said when it runs.
    """
    if STEP in job.steps or (job.seconds_left is not None and job.seconds_left <= 0):
        return None
    try:
        model = route(catalog, job.model or "", job.fallbacks)[0]
        open_budget(catalog, job, _size(job)).check(model.price)
    except Exception:  # noqa: BLE001 - one job's odd content must not break the claims of others
        return None
    return intent(job, STEP, model, call_id)


async def _ask(worker: Worker, job: ClaimedJob, model: Model, opened: UUID | None) -> Result:
    messages, params = _messages(job), _params(job)
    trace = CallTrace(public_id(job.id), STEP, job.attempt, job.traceparent)
    return await call_once(
        worker,
        job,
        STEP,
        model,
        lambda: worker.client.complete(model, messages, params, trace),
        answer_json,
        opened,
    )


def _size(job: ClaimedJob) -> CallSize:
    characters = sum(len(message.content) for message in _messages(job))
    return CallSize(characters, _params(job).max_tokens)


def _messages(job: ClaimedJob) -> Sequence[Message]:
    return [Message(Role(item["role"]), item["content"]) for item in job.input["messages"]]


def _params(job: ClaimedJob) -> Params:
    given = dict(job.params)
    return Params(**{**given, "stop": tuple(given.get("stop") or ())})


def answer_json(completion: Completion) -> dict[str, Any]:
    """The result of a completion job. Postgres stores no NUL, so a model's are dropped."""
    return {
        "text": without_nul(completion.text),
        "parsed": without_nul(completion.parsed),
        "finish_reason": completion.finish_reason,
        "provider": completion.provider,
        "model": completion.model,
    }
