"""What an agent is made of: a model, a prompt, defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from factory.errors import InvalidInput

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
OPTIONAL: Mapping[str, tuple[type, str]] = {
    "system": (str, "a text"),
    "description": (str, "a text"),
    "params": (dict, "a mapping"),
    "fallbacks": (list, "a list of <provider>/<model>"),
}
FIELDS = {"name", "model", *OPTIONAL}


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
    _check_types(given)
    return AgentSpec(
        name,
        model,
        given.get("system"),
        given.get("description") or "",
        given.get("params") or {},
        tuple(given.get("fallbacks") or ()),
    )


def _check_types(given: dict[str, Any]) -> None:
    """Of the fields that may be left out. What the parameters mean is checked where they are used."""
    for name, (kind, wanted) in OPTIONAL.items():
        if not isinstance(given.get(name), kind | None):
            raise InvalidInput(f"{name} must be {wanted}", param=name)
    if not all(isinstance(model, str) for model in given.get("fallbacks") or ()):
        raise InvalidInput("fallbacks must be a list of <provider>/<model>", param="fallbacks")
