"""What an agent is made of: a model, a prompt, defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from factory.errors import InvalidInput

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
FIELDS = {"name", "description", "model", "system", "params", "fallbacks"}


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """A named way to call a model."""

    name: str
    model: str
    system: str | None = None
    description: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    fallbacks: tuple[str, ...] = ()


def parse_spec(given: Any) -> AgentSpec:
    """A spec from its file or JSON. Raises InvalidInput that names the field."""
    if not isinstance(given, dict):
        raise InvalidInput("an agent spec is a mapping with name and model", param="agent")
    unknown = sorted(set(given) - FIELDS)
    if unknown:
        raise InvalidInput(
            f"unknown field {unknown[0]!r}; a spec has {', '.join(sorted(FIELDS))}",
            param=unknown[0],
        )
    name, model = given.get("name"), given.get("model")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidInput("name must be lower-case letters, digits, - and _", param="name")
    if not isinstance(model, str) or not model:
        raise InvalidInput("model must be <provider>/<model>", param="model")
    return AgentSpec(
        name,
        model,
        given.get("system"),
        str(given.get("description", "")),
        dict(given.get("params") or {}),
        tuple(given.get("fallbacks") or ()),
    )
