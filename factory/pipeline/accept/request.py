"""The body of a job request, and its check before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from factory.agents.params import ParamsIn, ShortText, Strict
from factory.domain.agent import AgentSpec
from factory.domain.instant import within_bounds
from factory.domain.job import DEFAULT_MAX_ATTEMPTS, MOST_ATTEMPTS, Kind, NewJob, new_id
from factory.domain.lanes import Priority
from factory.domain.message import Message, Role
from factory.domain.money import micros_from_usd
from factory.domain.text import find_nul, parse_messages, parse_texts
from factory.errors import InvalidInput
from factory.llm.catalog import Catalog, Model
from factory.llm.schema import check_schema
from factory.webhooks.allowed import AllowedHosts
from factory.webhooks.target import check_url

Time = Annotated[AwareDatetime, AfterValidator(within_bounds)]


class WebhookIn(Strict):
    """Where to tell that the job has ended."""

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    """http:// or https://, a public server or one that WEBHOOK_ALLOWED_HOSTS lists."""


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
    """Waits for rate limits are no attempts."""
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
    task_id: UUID | None = None
    """An id of your own, shown with the job."""


def prepare(
    catalog: Catalog,
    project_id: UUID,
    request: JobRequest,
    *,
    agent: tuple[AgentSpec, int] | None,
    allowed: AllowedHosts,
    traceparent: str | None = None,
) -> NewJob:
    """The job that the request asks for. `agent` is its spec and version where one was named.

    Raises InvalidInput whose `param` names the field.
    """
    _check_whole(request, allowed)
    spec = agent[0] if agent else None
    model = catalog.find(_model_name(request, spec))
    fallbacks = request.fallbacks or (spec.fallbacks if spec else ())
    job_input, params = _content(model, request, spec)
    if request.fallback_on:
        if not fallbacks or model.mode == "embedding":
            raise InvalidInput("fallback_on is of no use without fallbacks", param="fallback_on")
        # Beside the messages, where workers of earlier versions ignore it.
        job_input = {**job_input, "fallback_on": list(request.fallback_on)}
    return NewJob(
        id=new_id(),
        project_id=project_id,
        kind=Kind.EMBEDDING if model.mode == "embedding" else Kind.COMPLETION,
        provider=model.provider,
        priority=request.priority,
        input=job_input,
        model=model.id,
        agent=spec.name if spec else None,
        agent_version=agent[1] if agent else None,
        params=params,
        fallbacks=_fallbacks(catalog, model, fallbacks),
        metadata=request.metadata,
        max_attempts=request.max_attempts,
        run_at=request.run_at,
        deadline_s=request.deadline_s,
        max_cost_micros=_limit_micros(model, request.max_cost_usd),
        webhook_url=request.webhook.url if request.webhook else None,
        traceparent=traceparent,
        task_id=request.task_id,
    )


def _check_whole(request: JobRequest, allowed: AllowedHosts) -> None:
    if (request.agent is None) == (request.model is None):
        raise InvalidInput("give one of agent and model", param="model")
    if place := find_nul(request.model_dump(exclude_unset=True)):
        raise InvalidInput(f"{place} holds a NUL character, which cannot be stored", param=place)
    if request.webhook:
        check_url(request.webhook.url, allowed)


def _model_name(request: JobRequest, spec: AgentSpec | None) -> str:
    if spec:
        return spec.model
    return request.model or ""


def _content(
    model: Model, request: JobRequest, spec: AgentSpec | None
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Input and params in the form that the worker reads."""
    if model.mode == "embedding":
        texts = parse_texts(request.input)
        return {"texts": [list(pair) for pair in texts]}, {}
    params = _params(request, spec)
    if "json_schema" in params:
        check_schema(params["json_schema"])
    system = params.pop("system", None) or (spec.system if spec else None)
    messages = parse_messages(request.input)
    if system:
        messages = (Message(Role.SYSTEM, system), *messages)
    return {"messages": [message.as_dict() for message in messages]}, params


def _params(request: JobRequest, spec: AgentSpec | None) -> dict[str, Any]:
    """The request's parameters override its agent's, which come from a file and may be anything."""
    own = request.params.model_dump(exclude_none=True)
    if spec is None or not spec.params:
        return own
    # A newer version may have registered it with parameters that are not known here.
    known = {name: spec.params[name] for name in spec.params if name in ParamsIn.model_fields}
    try:
        return ParamsIn.model_validate({**known, **own}).model_dump(exclude_none=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            f"agent {spec.name!r} has params that cannot be used: "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            param="agent",
        ) from None


def _fallbacks(catalog: Catalog, model: Model, names: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for index, name in enumerate(names):
        try:
            fallback = catalog.find(name)
        except InvalidInput as error:
            raise InvalidInput(error.message, param=f"fallbacks[{index}]") from None
        if fallback.mode != model.mode:
            raise InvalidInput(
                f"{fallback.id} is no {model.mode} model", param=f"fallbacks[{index}]"
            )
        found.append(fallback.id)
    return tuple(found)


def _limit_micros(model: Model, limit_usd: Decimal | None) -> int | None:
    """Refuses a limit for a model whose price is unknown: it could not be kept."""
    if limit_usd is None:
        return None
    if model.price is None:
        raise InvalidInput(
            f"the price of {model.id} is not known, so max_cost_usd cannot be kept; leave it out",
            param="max_cost_usd",
        )
    return micros_from_usd(limit_usd)
