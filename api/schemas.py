"""What calls answer, as OpenAPI shows it. Answers are rendered straight from `pipeline.view`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from factory.domain.access import Scope
from factory.domain.job import Kind
from factory.domain.lanes import Priority
from factory.domain.state import State


class Usage(BaseModel):
    """Tokens of all the job's calls; `cached_tokens` are part of `input_tokens`."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int


class Failure(BaseModel):
    """Why a job failed, or why its last attempt did."""

    type: str
    code: str | None
    message: str
    retryable: bool


class Call(BaseModel):
    """One call to a provider."""

    attempt: int = Field(description="The job's attempt that made the call, counted from 1.")
    step: str = Field(description="What the call was for.", examples=["answer"])
    model: str = Field(examples=["openai/gpt-4o-mini"])
    state: Literal["open", "succeeded", "failed"] = Field(
        description="`open`: made and not answered yet, or its worker died with it."
    )
    started_at: datetime
    latency_ms: int | None
    http_status: int | None
    error: CallFailure | None
    usage: Usage
    cost_usd: float | None = Field(description="Null where nobody knows what the call cost.")


class CallFailure(BaseModel):
    """Why a call gave no answer that could be used."""

    type: str | None = Field(examples=["provider_unavailable"])
    message: str | None


class JobWebhook(BaseModel):
    """How the job's event is on its way."""

    url: str
    state: State | None = Field(description="Null until the job has ended.")
    attempts: int = Field(description="Deliveries tried so far.")
    last_status: int | None = Field(description="HTTP status of the last one, null for no answer.")
    last_error: str | None
    next_at: datetime | None = Field(description="When the next one is due.")


class Job(BaseModel):
    """One execution, with its attempts, its cost and its result."""

    id: str = Field(examples=["job_019a0b6f3c2e7d4f8a1b2c3d4e5f6071"])
    object: Literal["job"]
    kind: Kind
    state: State
    agent: str | None
    agent_version: int | None
    provider: str
    model: str | None
    lane: str = Field(examples=["openai.normal"])
    priority: Priority
    attempt: int
    max_attempts: int
    deferrals: int = Field(description="Waits for a rate limit; they spend no attempt.")
    position: int | None
    progress: Any
    cancel_requested: bool
    result: Any
    usage: Usage
    cost_usd: float | None = Field(
        description="Null until the job has ended, and where the cost of a call is not known."
    )
    unknown_cost_calls: int
    error: Failure | None
    metadata: dict[str, str]
    parent_id: str | None
    task_id: str | None
    trace_id: str | None
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobDetail(Job):
    """A job with what was asked and what happened."""

    input: Any = Field(description="The messages, or the texts of an embedding.")
    params: dict[str, Any] | None = Field(description="As the job's calls use them.")
    fallbacks: list[str] | None
    max_cost_usd: float | None
    deadline_at: datetime | None
    next_attempt_at: datetime | None = Field(description="When a queued job is due.")
    attempts: list[Call] = Field(description="The last 100 calls to providers, oldest first.")
    webhook: JobWebhook | None


class _List(BaseModel):
    object: Literal["list"]
    first_id: str | None
    last_id: str | None = Field(description="Give it as `after` to read on.")
    has_more: bool


class JobList(_List):
    """Jobs, newest first."""

    data: list[Job]


class ErrorDetail(BaseModel):
    """An error as OpenAI's clients read it."""

    message: str
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(description="The field that is to blame.", examples=["priority"])
    code: str | None


class RejectedLine(BaseModel):
    """A line of a bulk that was not accepted."""

    line: int = Field(description="Counted from 1; blank lines count.")
    error: ErrorDetail


class BulkAnswer(BaseModel):
    """What became of a bulk."""

    accepted: int
    rejected: list[RejectedLine]
    ids: list[str] = Field(description="Ids of the accepted jobs, in the order of their lines.")


class Problem(BaseModel):
    """An error: RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    error: ErrorDetail
    rejected: list[RejectedLine] | None = Field(
        None, description="Of a bulk without one good line."
    )


class Queue(BaseModel):
    """A lane and the project's live jobs in it."""

    object: Literal["queue"]
    lane: str
    queued: int
    running: int
    waiting: int
    oldest_age_s: float = Field(description="How long the oldest due job has waited, in seconds.")


class QueueList(_List):
    """All lanes."""

    data: list[Queue]


class Worker(BaseModel):
    """A worker process."""

    id: str
    object: Literal["worker"]
    hostname: str
    pid: int
    lanes: list[str]
    slots: int
    running: int
    started_at: datetime
    heartbeat_at: datetime
    draining: bool
    live: bool


class WorkerList(_List):
    """Workers heard of within the hour, oldest first."""

    data: list[Worker]


class Agent(BaseModel):
    """An agent's active version."""

    object: Literal["agent"]
    name: str
    version: int
    model: str
    description: str
    system: str | None
    params: dict[str, Any]
    fallbacks: list[str]


class AgentList(_List):
    """All agents, by name."""

    data: list[Agent]


class Price(BaseModel):
    """US dollars for a million tokens."""

    input_usd_per_million: float
    cached_usd_per_million: float = Field(description="Input that the provider had in its cache.")
    output_usd_per_million: float
    long_inputs: list[LongInputPrice] = Field(
        description="What a whole call costs whose input is longer, the longest first."
    )


class LongInputPrice(Price):
    """The price of calls with more input tokens than `above_tokens`."""

    above_tokens: int


class Model(BaseModel):
    """A model that jobs may name."""

    id: str = Field(examples=["openai/gpt-4o-mini"])
    object: Literal["model"]
    provider: str
    mode: Literal["chat", "embedding"]
    max_input_tokens: int | None = Field(description="Null where it is not known.")
    max_output_tokens: int | None = Field(description="Null where it is not known.")
    price: Price | None = Field(
        description="Null where it is not known: then `max_cost_usd` cannot be kept and is refused."
    )


class ModelList(_List):
    """Models, by id."""

    data: list[Model]


class Hit(BaseModel):
    """A piece of a text that was embedded."""

    chunk_id: str
    job_id: str = Field(description="The job that embedded the text.")
    source: str
    content: str
    start_offset: int
    end_offset: int
    score: float = Field(description="Cosine similarity: 1 for the same direction.")


class HitList(BaseModel):
    """What is nearest to the query, nearest first."""

    object: Literal["list"]
    data: list[Hit]


class ApiKey(BaseModel):
    """A key without its secret."""

    id: str
    object: Literal["api_key"]
    name: str
    prefix: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewApiKey(ApiKey):
    """A new key with its secret, which is shown this once."""

    key: str = Field(examples=["af_0123456789ab_…"])


class ApiKeyList(_List):
    """The project's keys, newest first."""

    data: list[ApiKey]


class Health(BaseModel):
    """The process runs."""

    status: Literal["ok"]


class Part(BaseModel):
    """A part that the gateway stands on."""

    ok: bool
    required: bool
    detail: str | None


class Readiness(BaseModel):
    """Whether jobs can be accepted."""

    status: Literal["ready", "unready"]
    postgres: Part
    redis: Part
    schema_: Part = Field(alias="schema")


class AcceptedHeaders(BaseModel):
    """Headers of a 202."""

    location: str
    retry_after: int
    etag: str
