"""Jobs, and what became of a bulk of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.schemas.problems import RejectedLine
from api.schemas.shown import ListShown, Shown
from factory.domain.job import Kind
from factory.domain.lanes import Priority
from factory.domain.state import State
from factory.kinds.optional_fields import with_shown_fields


class Usage(Shown):
    """Tokens of all the job's calls; `cached_tokens` are part of `input_tokens`."""

    input_tokens: int
    """Tokens of all inputs."""
    output_tokens: int
    """Tokens of all answers."""
    cached_tokens: int
    """Input tokens that the provider had in its cache."""


class Failure(Shown):
    """Why a job failed, or why its last attempt did."""

    type: str
    """The kind of error, as `provider_unavailable`."""
    code: str | None
    """The provider's own name of it, where it has one."""
    message: str
    """What went wrong."""
    retryable: bool
    """Whether another attempt may succeed."""
    finish_reason: str | None = None
    """Why the model stopped. Only where it answered and the answer cannot be used, as are `refusal` and `text`."""
    refusal: str | None = None
    """Why the model, or a filter of its provider, would not answer; null if it did."""
    text: str | None = None
    """The answer that was paid for, up to 10,000 characters."""


class CallFailure(Shown):
    """Why a call gave no answer that could be used."""

    type: str | None = Field(examples=["provider_unavailable"])
    """The kind of error."""
    message: str | None
    """What went wrong."""


class Call(Shown):
    """One call to a provider."""

    attempt: int = Field(description="The job's attempt that made the call, counted from 1.")
    step: str = Field(description="What the call was for.", examples=["answer"])
    model: str = Field(examples=["openai/gpt-4o-mini"])
    """The model that was asked."""
    state: Literal["open", "succeeded", "failed"] = Field(
        description="`open`: made and not answered yet, or its worker died with it."
    )
    started_at: datetime
    """When it was made."""
    latency_ms: int | None
    """How long the answer took; null while it is awaited."""
    http_status: int | None
    """Of the answer, where it was an error."""
    error: CallFailure | None
    """Why it gave no answer that could be used."""
    usage: Usage
    """Tokens of this call."""
    cost_usd: float | None = Field(description="Null where nobody knows what the call cost.")


class JobWebhook(Shown):
    """How the job's event is on its way."""

    url: str
    """Where the event goes."""
    state: State | None = Field(description="Null until the job has ended.")
    attempts: int = Field(description="Deliveries tried so far.")
    last_status: int | None = Field(description="HTTP status of the last one, null for no answer.")
    last_error: str | None
    """Why the last delivery failed; null if it did not."""
    next_at: datetime | None = Field(description="When the next one is due.")


@with_shown_fields
class Job(Shown):
    """One execution, with its attempts, its cost and its result."""

    id: str = Field(examples=["job_019a0b6f3c2e7d4f8a1b2c3d4e5f6071"])
    """The job's id."""
    object: Literal["job"]
    """Always `job`."""
    kind: Kind
    """What a worker does with it."""
    state: State
    """`queued`, `running` and `waiting` are on the way; `succeeded`, `failed` and `cancelled` are ends."""
    agent: str | None
    """The agent that was named."""
    agent_version: int | None
    """The agent's version when the job was submitted; the job keeps it."""
    provider: str
    """The provider of the model that is asked first; `webhook` for deliveries."""
    model: str | None
    """The model that is asked first."""
    lane: str = Field(examples=["openai.normal"])
    """The queue that serves it."""
    priority: Priority
    """How urgent it is."""
    attempt: int
    """Attempts that have begun."""
    max_attempts: int
    """The job fails after so many."""
    deferrals: int = Field(description="Waits for a rate limit; they spend no attempt.")
    position: int | None
    """Always null: computing a place in the queue would cost more than all else of the answer."""
    progress: Any
    """Always null for these kinds of jobs."""
    cancel_requested: bool
    """Its owner wants it ended; a running one ends within seconds."""
    result: Any
    """What it gave; null until it has succeeded."""
    usage: Usage
    """Tokens of all its calls, once it has ended."""
    cost_usd: float | None = Field(
        description="Null until the job has ended, and where the cost of a call is not known."
    )
    unknown_cost_calls: int
    """Calls that may have been billed and whose cost is not known."""
    error: Failure | None
    """Why it failed, or why its last attempt did."""
    metadata: dict[str, str]
    """As it was submitted."""
    parent_id: str | None
    """The job that it belongs to."""
    trace_id: str | None
    """Of its W3C trace context."""
    created_at: datetime
    """When it was accepted."""
    run_at: datetime
    """When it was or is due."""
    started_at: datetime | None
    """When its last attempt began."""
    finished_at: datetime | None
    """When it ended."""


class WaitFor(Shown):
    """What a job waits for while no worker holds it. The attempt was given back."""

    type: str = Field(examples=["children"])
    """`time`, `children`, `approval`, `budget` or `outcome`; a newer version may have more."""
    since: datetime | None
    """When the wait began."""
    until: datetime | None
    """When it ends; only of a wait for a time."""
    jobs: list[str] | None
    """The children that it waits for; null where it waits for all of them, or for something else."""


class JobDetail(Job):
    """A job with what was asked and what happened."""

    input: Any = Field(description="The messages, or the texts of an embedding.")
    params: dict[str, Any] | None = Field(description="As the job's calls use them.")
    fallbacks: list[str] | None
    """Models that stand in, in this order."""
    fallback_on: list[str]
    """Which refusals they stand in for, beside outages."""
    max_cost_usd: float | None
    """What it may cost at most."""
    deadline_at: datetime | None
    """When it fails if it has not ended."""
    next_attempt_at: datetime | None = Field(description="When a queued job is due.")
    waiting_for: WaitFor | None = Field(description="What a `waiting` job waits for.")
    attempts: list[Call] = Field(description="The last 100 calls to providers, oldest first.")
    webhook: JobWebhook | None
    """How its event is on its way; null where none was asked for."""


class ListedJob(Job):
    """A job as a list carries it."""

    result_omitted: bool
    """Whether `result` is null here because it is larger than 64 KiB; `GET /api/jobs/{id}` has it."""


class JobList(ListShown):
    """Jobs, newest first."""

    data: list[ListedJob]
    """What was found."""


class BulkAnswer(Shown):
    """What became of a bulk."""

    accepted: int
    """How many lines became jobs."""
    rejected: list[RejectedLine]
    """The others, with what is wrong with each."""
    ids: list[str] = Field(description="Ids of the accepted jobs, in the order of their lines.")


class AcceptedHeaders(Shown):
    """Headers of a 202."""

    location: str
    retry_after: int
    etag: str
