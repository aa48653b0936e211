"""What callers submit: the body of a job request, and what a kind makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from factory.agents.params import ParamsIn, ShortText, Strict
from factory.domain.agent import AgentSpec
from factory.domain.instant import within_bounds
from factory.domain.job import DEFAULT_MAX_ATTEMPTS, MOST_ATTEMPTS
from factory.domain.lanes import Priority
from factory.kinds.optional_fields import with_asked_fields

Time = Annotated[AwareDatetime, AfterValidator(within_bounds)]
Content = tuple[Mapping[str, Any], Mapping[str, Any]]
"""A job's input and params, in the form that its kind reads when it runs."""


class WebhookIn(Strict):
    """Where to tell that the job has ended."""

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    """http:// or https://, a public server or one that WEBHOOK_ALLOWED_HOSTS lists."""


@with_asked_fields
class JobRequest(Strict):
    """The body of `POST /api/jobs`: one of `agent` and `model`, and `input`."""

    agent: ShortText | None = None
    """Name of an agent, which brings model, system prompt and parameters."""
    model: ShortText | None = None
    """`<provider>/<model>`; `GET /api/models` lists them."""
    input: Any = Field(
        description="A text; a list of {role, content}; for an embedding model, a list of texts or "
        "of {source, text}."
    )
    params: ParamsIn = ParamsIn()
    """How the model should answer."""
    priority: Priority = Priority.NORMAL
    """`high` first, `bulk` last; each gets a share."""
    run_at: Time | None = None
    """Not before this time."""
    deadline_s: Annotated[float, Field(gt=0, le=30 * 86400)] | None = None
    """The job fails if it has not ended in so many seconds."""
    max_attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] = DEFAULT_MAX_ATTEMPTS
    """How often the job is tried before it fails. Waits for rate limits do not count."""
    max_cost_usd: Annotated[Decimal, Field(gt=0, le=1_000_000)] | None = None
    """The job never costs more: answers are cut to what it buys, and nothing is called that could exceed it."""
    fallbacks: Annotated[tuple[ShortText, ...], Field(max_length=5)] = ()
    """Models that stand in, in this order, while a provider is limited, overloaded or down."""
    fallback_on: Annotated[
        tuple[Literal["refused", "content_filter", "cut"], ...], Field(max_length=3)
    ] = ()
    """Also ask the fallbacks where a model refuses to answer in JSON (`refused`), a filter stops the input
    (`content_filter`), or the JSON is cut at its longest length (`cut`). Without it these are final."""
    webhook: WebhookIn | None = None
    """Where to tell that the job has ended."""
    metadata: Annotated[
        dict[ShortText, Annotated[str, Field(max_length=500)]],
        # Pydantic copies a default of {} deeply for every request, which costs as much as the checks.
        Field(max_length=16, default_factory=dict, json_schema_extra={"default": {}}),
    ]
    """Texts of your own, by which jobs can be listed."""


def fallback_names(request: JobRequest, spec: AgentSpec | None) -> tuple[str, ...]:
    """The request's fallbacks; without any, those of its agent."""
    return request.fallbacks or (spec.fallbacks if spec else ())
