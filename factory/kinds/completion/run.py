"""Runs a completion: one answer of a model, or of the first fallback that gives one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from factory.calls.ends import intent
from factory.calls.gate import Result
from factory.calls.journal import record_steps
from factory.calls.passage import Passage
from factory.calls.spending import longest_answer, open_budget
from factory.document import write_json
from factory.domain.job import ClaimedJob
from factory.domain.message import Completion, Message, Params
from factory.errors import (
    FactoryError,
    JobFailure,
    OutputCut,
    OutputRefused,
    ProviderError,
    ResultTooLarge,
)
from factory.kinds.completion.show import answer_json
from factory.kinds.means import Means
from factory.limits.budget import Budget, CallSize, most_tokens
from factory.llm.catalog import Catalog, Model
from factory.llm.route import route, should_fall_back
from factory.llm.saying import LENGTH
from factory.llm.schema import check_schema
from factory.store.codec import messages_of, params_of
from factory.store.intents import FIRST_STEP
from factory.store.journal import Call, Step

STEP = FIRST_STEP
MESSAGE_TOKENS = 32
"""Tokens that a provider adds to a message, at most."""
SCHEMA_TOKENS = 1000
"""Tokens that a provider adds so that the model keeps to a schema; Anthropic adds 350 to 700."""


async def complete(means: Means, job: ClaimedJob) -> Result:
    """The answer as JSON. Nothing that an earlier attempt paid for is called again, not even a model that refused."""
    if STEP in job.steps:
        return Result(job.steps[STEP])
    asked, params = job.input.get("fallback_on", ()), _params(job)
    budget = open_budget(means.catalog, job, _size(job, params))
    failures: list[FactoryError] = []
    opened = job.first_call
    for model in route(means.catalog, job.model or "", job.fallbacks):
        if refused := job.steps.get(_refused_key(model)):
            kind = OutputCut if refused["type"] == OutputCut.type else OutputRefused
            failures.append(kind(refused["message"]))
            continue
        try:
            return await _ask(means, job, model, params, budget, opened)
        except FactoryError as error:
            failures.append(error)
            opened = None
            if not should_fall_back(error, asked):
                break
            await _count(means, job, model, error, budget)
    # If any model may answer later, the job is worth another attempt.
    raise next((error for error in failures if error.retryable), failures[0])


async def _count(
    means: Means, job: ClaimedJob, model: Model, error: FactoryError, budget: Budget
) -> None:
    """Takes a failed call off the budget, and remembers a refusal: no model is paid to refuse twice."""
    paid = error.completion if isinstance(error, JobFailure) else None
    if paid is not None and paid.cost_micros is not None:
        budget.spend(paid.cost_micros)
    elif paid is not None or (isinstance(error, ProviderError) and error.may_be_billed):
        budget.write_off(model.price, model.max_output_tokens)
    if isinstance(error, OutputRefused | OutputCut):
        told = {"type": error.type, "message": error.message}
        await means.committer.commit(record_steps, Step(job.id, _refused_key(model), told))


def _refused_key(model: Model) -> str:
    """The step under which a model's refusal is kept."""
    return f"refused:{model.id}"


def first_call(catalog: Catalog, job: ClaimedJob, call_id: UUID) -> Call | None:
    """The call that `complete` begins with, so that its intent can be committed with the claim.

    None if the job may not make it or needs none. What is wrong with the job is raised when it runs.
    """
    if STEP in job.steps or (job.seconds_left is not None and job.seconds_left <= 0):
        return None
    try:
        model = route(catalog, job.model or "", job.fallbacks)[0]
        if _refused_key(model) in job.steps:
            return None
        longest_answer(open_budget(catalog, job, call_size(job)), model)
    except Exception:  # noqa: BLE001 - odd content of one job must not break the claims of others
        return None
    return intent(job, STEP, model, call_id)


async def _ask(
    means: Means,
    job: ClaimedJob,
    model: Model,
    asked: Params,
    budget: Budget,
    opened: UUID | None,
) -> Result:
    messages = _messages(job)
    most_bytes = means.settings.result_max_bytes

    async def send(passage: Passage) -> tuple[Completion, Any]:
        shortened = _is_shortened(passage.max_tokens, asked, model)
        try:
            answer = await passage.complete(messages, asked)
        except OutputCut as error:
            if shortened:
                error.message += "; max_cost_usd bought no more"
            raise
        return answer, _answer_json(answer, bounded=shortened, most_bytes=most_bytes)

    return await means.gate.call(job, STEP, model, budget, send, opened)


def call_size(job: ClaimedJob) -> CallSize:
    """Upper bounds of a call's tokens; only counted if the job has a limit on its cost."""
    return _size(job, _params(job))


def _size(job: ClaimedJob, params: Params) -> CallSize:
    if job.max_cost_micros is None:
        return CallSize(0, params.max_tokens)
    texts = sum(most_tokens(message.content) + MESSAGE_TOKENS for message in _messages(job))
    schema = params.json_schema
    # Measured with all references replaced, as some providers get it.
    asked = 0 if schema is None else SCHEMA_TOKENS + check_schema(schema).bytes
    return CallSize(texts + asked, params.max_tokens)


def _messages(job: ClaimedJob) -> Sequence[Message]:
    return messages_of(job.input)


def _params(job: ClaimedJob) -> Params:
    return params_of(job.params)


def _is_shortened(longest: int | None, asked: Params, model: Model) -> bool:
    """Whether the budget allows a shorter answer than the job and the model do."""
    wanted = [one for one in (asked.max_tokens, model.max_output_tokens) if one is not None]
    return longest is not None and (not wanted or longest < min(wanted))


def _answer_json(completion: Completion, bounded: bool, most_bytes: int) -> dict[str, Any]:
    """`bounded`: the budget allowed a shorter answer than the job did. If it was cut there, the answer says so.

    Raises ResultTooLarge for an answer that, as JSON, is longer than `most_bytes`.
    """
    answer = answer_json(completion)
    if bounded and completion.finish_reason == LENGTH:
        answer["cut_by"] = "max_cost_usd"
    # A character takes at most six bytes, twice if the text was parsed: most answers need no measuring.
    if len(completion.text) * 12 > most_bytes and (size := len(write_json(answer))) > most_bytes:
        raise ResultTooLarge(
            f"the result has {size:,} bytes, and a job stores at most {most_bytes:,}: "
            "lower params.max_tokens, or have RESULT_MAX_BYTES raised",
            completion=completion,
        )
    return answer
