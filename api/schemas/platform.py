"""What there is beside jobs: models, agents, lanes, workers, keys, and whether all is well."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.schemas.shown import ListShown, Shown
from factory.domain.access import Scope


class Queue(Shown):
    """A lane and the project's live jobs in it."""

    object: Literal["queue"]
    """Always `queue`."""
    lane: str
    """Its name."""
    queued: int
    """Jobs that wait for a worker or for their time."""
    running: int
    """Jobs that a worker has."""
    waiting: int
    """Jobs that wait for something else."""
    oldest_age_s: float = Field(description="How long the oldest due job has waited, in seconds.")


class QueueList(ListShown):
    """All lanes."""

    data: list[Queue]
    """What was found."""


class Worker(Shown):
    """A worker process."""

    id: str
    """Id of the process; new with each start."""
    object: Literal["worker"]
    """Always `worker`."""
    hostname: str
    """The machine or container."""
    pid: int
    """The process there."""
    lanes: list[str]
    """What it serves."""
    slots: int
    """Jobs that it holds at once at most."""
    running: int
    """Jobs that it holds."""
    started_at: datetime
    """When it started."""
    heartbeat_at: datetime
    """When its last heartbeat came."""
    draining: bool
    """Whether it takes no new jobs and ends what runs."""
    live: bool
    """Whether a heartbeat came within its lease."""


class WorkerList(ListShown):
    """Workers heard of within the hour, oldest first."""

    data: list[Worker]
    """What was found."""


class Agent(Shown):
    """An agent's active version."""

    object: Literal["agent"]
    """Always `agent`."""
    name: str
    """The name that jobs give as `agent`."""
    version: int
    """Counted from 1; a change of its file makes a new one."""
    model: str
    """The model that its jobs ask first."""
    description: str
    """What it is for."""
    system: str | None
    """Its system prompt."""
    params: dict[str, Any]
    """Defaults for the `params` of its jobs."""
    fallbacks: list[str]
    """Models that stand in, in this order."""


class AgentList(ListShown):
    """All agents, by name."""

    data: list[Agent]
    """What was found."""


class Price(Shown):
    """US dollars for a million tokens."""

    input_usd_per_million: float
    """Input."""
    cached_usd_per_million: float = Field(description="Input that the provider had in its cache.")
    output_usd_per_million: float
    """Output."""
    long_inputs: list[LongInputPrice] = Field(
        description="Prices of calls with longer inputs, the longest first; they hold for the whole call."
    )


class LongInputPrice(Price):
    """The price of calls with more input tokens than `above_tokens`."""

    above_tokens: int
    """Input tokens."""


class Model(Shown):
    """A model that jobs may name."""

    id: str = Field(examples=["openai/gpt-4o-mini"])
    """What jobs call it by."""
    object: Literal["model"]
    """Always `model`."""
    provider: str
    """Who has it."""
    mode: Literal["chat", "embedding"]
    """What it is for: completions, or embeddings and searches."""
    max_input_tokens: int | None = Field(description="Null where it is not known.")
    max_output_tokens: int | None = Field(description="Null where it is not known.")
    price: Price | None = Field(
        description="Null where it is not known: then `max_cost_usd` cannot be kept and is refused."
    )


class ModelList(ListShown):
    """Models, by id."""

    data: list[Model]
    """What was found."""


class Hit(Shown):
    """A piece of a text that was embedded."""

    chunk_id: str
    """Id of the piece."""
    job_id: str = Field(description="The job that embedded the text.")
    source: str
    """What its job called the text."""
    content: str
    """The piece itself."""
    start_offset: int
    """Where in the text it begins, in characters."""
    end_offset: int
    """Where it ends."""
    score: float = Field(description="Cosine similarity: 1 for the same direction.")


class HitList(Shown):
    """What is nearest to the query, nearest first."""

    object: Literal["list"]
    """Always `list`."""
    data: list[Hit]
    """The pieces."""


class ApiKey(Shown):
    """A key without its secret."""

    id: str
    """The key's id."""
    object: Literal["api_key"]
    """Always `api_key`."""
    name: str
    """What it was called when it was made."""
    prefix: str
    """How it begins, behind `af_`; the name by which it is revoked."""
    scopes: list[Scope]
    """What it may do."""
    created_at: datetime
    """When it was made."""
    expires_at: datetime | None
    """When it ends by itself; null for never."""
    revoked_at: datetime | None
    """When it was revoked; null while it is good."""


class NewApiKey(ApiKey):
    """A new key with its secret, which is shown this once."""

    key: str = Field(examples=["af_0123456789ab_…"])
    """The whole key."""


class ApiKeyList(ListShown):
    """The project's keys, newest first."""

    data: list[ApiKey]
    """What was found."""


class Health(Shown):
    """The process runs."""

    status: Literal["ok"]
    """Always `ok`."""


class Part(Shown):
    """Something that the gateway depends on."""

    ok: bool
    """Whether it answers."""
    required: bool
    """Whether jobs cannot be accepted without it."""
    detail: str | None
    """What is wrong with it."""


class Readiness(Shown):
    """Whether jobs can be accepted."""

    status: Literal["ready", "unready"]
    """Whether jobs can be accepted."""
    postgres: Part
    """Needed."""
    redis: Part
    """Not needed to accept; jobs start when it is back."""
    schema_: Part = Field(alias="schema")
    """Whether Postgres' tables are those that this version needs."""
