"""What a completion stores when it is submitted: messages and parameters, checked."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from factory.agents.params import ParamsIn
from factory.domain.agent import AgentSpec
from factory.domain.message import Message, Role
from factory.domain.text import parse_messages
from factory.errors import InvalidInput
from factory.kinds.request import Content, JobRequest, fallback_names
from factory.llm.schema import check_schema


def prepare(request: JobRequest, spec: AgentSpec | None) -> Content:
    """Its messages, the system prompt first, and its parameters. Raises InvalidInput whose `param` names the field."""
    params = _params(request, spec)
    if "json_schema" in params:
        check_schema(params["json_schema"])
    system = params.pop("system", None) or (spec.system if spec else None)
    messages = parse_messages(request.input)
    if system:
        messages = (Message(Role.SYSTEM, system), *messages)
    job_input: dict[str, Any] = {"messages": [message.as_dict() for message in messages]}
    if request.fallback_on:
        if not fallback_names(request, spec):
            raise InvalidInput("fallback_on is of no use without fallbacks", param="fallback_on")
        # Beside the messages, where workers of earlier versions ignore it.
        job_input["fallback_on"] = list(request.fallback_on)
    return job_input, params


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
