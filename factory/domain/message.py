"""What goes to a model and what comes back, the same for every provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from factory.domain.money import Usage


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def as_dict(self) -> dict[str, str]:
        """The OpenAI shape, which LiteLLM translates for every other provider."""
        return {"role": self.role.value, "content": self.content}


@dataclass(frozen=True, slots=True)
class Params:
    """How a model should answer; None leaves the provider's default."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    """A JSON Schema that the answer must satisfy."""
    timeout_s: float | None = None
    """Longest wait for one call, in seconds."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's answer. `cost_micros` None: the price of this model is not known."""

    provider: str
    model: str
    text: str
    finish_reason: str
    usage: Usage
    cost_micros: int | None
    latency_ms: int
    parsed: Any = None
    """The text as JSON where a schema was asked for."""
    refusal: str | None = None
    """Why the model, or a filter of its provider, would not answer; None if it did."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector per input text, in order; None where the provider gave none that can be used."""

    provider: str
    model: str
    vectors: Sequence[Sequence[float] | None] = field(repr=False)
    usage: Usage
    cost_micros: int | None
    latency_ms: int
