"""The check of a job request, before anything is written."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from factory.domain.agent import AgentSpec
from factory.domain.job import NewJob, new_id
from factory.domain.money import micros_from_usd
from factory.domain.text import find_nul
from factory.errors import InvalidInput
from factory.kinds.optional_fields import asked_values
from factory.kinds.registry import BY_MODE
from factory.kinds.request import JobRequest, fallback_names
from factory.kinds.webhook.prepare import receiver_url
from factory.llm.catalog import Catalog, Model
from factory.webhooks.allowed import AllowedHosts


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
    _check_whole(request)
    webhook_url = receiver_url(request.webhook, allowed)
    spec = agent[0] if agent else None
    model = catalog.find(_model_name(request, spec))
    kind = BY_MODE[model.mode]
    job_input, params = kind.prepare(request, spec)
    return NewJob(
        id=new_id(),
        project_id=project_id,
        kind=kind.kind,
        provider=model.provider,
        priority=request.priority,
        input=job_input,
        model=model.id,
        agent=spec.name if spec else None,
        agent_version=agent[1] if agent else None,
        params=params,
        fallbacks=_fallbacks(catalog, model, fallback_names(request, spec)),
        metadata=request.metadata,
        max_attempts=request.max_attempts,
        run_at=request.run_at,
        deadline_s=request.deadline_s,
        max_cost_micros=_limit_micros(model, request.max_cost_usd),
        webhook_url=webhook_url,
        traceparent=traceparent,
        **asked_values(request),
    )


def _check_whole(request: JobRequest) -> None:
    if (request.agent is None) == (request.model is None):
        raise InvalidInput("give one of agent and model", param="model")
    if _may_hold_nul(request) and (place := find_nul(request.model_dump(exclude_unset=True))):
        raise InvalidInput(f"{place} holds a NUL character, which cannot be stored", param=place)


def _may_hold_nul(request: JobRequest) -> bool:
    r"""A quick look at what was given; true as well where the four characters `\x00` are in a text."""
    return "\\x00" in repr([getattr(request, name) for name in request.model_fields_set])


def _model_name(request: JobRequest, spec: AgentSpec | None) -> str:
    if spec:
        return spec.model
    return request.model or ""


def _fallbacks(catalog: Catalog, model: Model, names: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for index, name in enumerate(names):
        try:
            fallback = catalog.find(name)
        except InvalidInput as error:
            raise InvalidInput(error.message, param=f"fallbacks[{index}]") from None
        if fallback.mode != model.mode:
            raise InvalidInput(
                f"{fallback.id} is not a model for {model.mode}", param=f"fallbacks[{index}]"
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
