"""How a model should answer: the parameters of jobs and of agents."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

ShortText = Annotated[str, Field(min_length=1, max_length=200)]


class Strict(BaseModel):
    """Takes the fields that it has and no other; the text under a field is its description."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ParamsIn(Strict):
    """How a model should answer; what is left out takes the agent's or the provider's default."""

    system: Annotated[str, Field(min_length=1)] | None = None
    """A system prompt in front of the messages; over that of the agent."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """0 for the likeliest words, 2 for the most varied."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """The share of likely words to choose from."""
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Longest answer, in tokens."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """For answers that can be repeated, where the provider can."""
    stop: Annotated[list[ShortText], Field(max_length=4)] | None = None
    """Texts at which the answer ends."""
    json_schema: dict[str, Any] | None = Field(
        default=None, description="A JSON Schema (2020-12) that the answer must satisfy."
    )
    timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    """Longest wait for one call, in seconds; by default CALL_TIMEOUT_S."""
