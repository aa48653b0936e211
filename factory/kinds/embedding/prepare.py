"""What an embedding stores when it is submitted: texts, each with its source."""

from __future__ import annotations

from factory.domain.agent import AgentSpec
from factory.domain.text import parse_texts
from factory.errors import InvalidInput
from factory.kinds.request import Content, JobRequest


def prepare(request: JobRequest, _spec: AgentSpec | None) -> Content:
    """Its texts; embedding models take no parameters. Raises InvalidInput whose `param` names the field."""
    texts = parse_texts(request.input)
    if request.fallback_on:
        raise InvalidInput("fallback_on is of no use without fallbacks", param="fallback_on")
    return {"texts": [list(pair) for pair in texts]}, {}
