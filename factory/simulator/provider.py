"""What a provider is to the simulator: routes, a lock on the door, and a way to say no."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from factory.errors import InvalidInput, NotFound
from factory.simulator.answer import CONTEXT_TOKENS, Question, count_tokens

Json = dict[str, Any]
JSON_TYPE = "application/json"
EVENTS_TYPE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came in. `tool` is the one that a script says to call."""

    id: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    model: str
    body: Mapping[str, Any]
    digest: bytes
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer on the wire: one chunk, or those of a stream."""

    chunks: list[bytes]
    content_type: str
    input_tokens: int
    output_tokens: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def whole(cls, body: Json, input_tokens: int, output_tokens: int = 0) -> Reply:
        """A body of JSON."""
        return cls([orjson.dumps(body)], JSON_TYPE, input_tokens, output_tokens)

    @property
    def streamed(self) -> bool:
        return self.content_type != JSON_TYPE


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a call gets an error; `message` None leaves the words to the provider."""

    status: int
    call_id: str
    message: str | None = None
    param: str | None = None
    code: str | None = None
    retry_after_s: float | None = None
    left: int = 0
    """Of a rate limit: how many requests and tokens are left, too few for this call."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error on the wire. `status` None: that of the fault."""

    body: Json
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`reply` raises InvalidInput, NotFound or Unauthorized as the provider would refuse."""

    name: str
    reply: Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider under its own base path, `/<name>`."""

    name: str
    shape: str
    """Whose shape its answers have, for those that are odd: `openai`, `anthropic`, `gemini` or `ollama`."""
    endpoints: Mapping[str, Endpoint]
    """POST routes, as aiohttp patterns below the base path."""
    listings: Mapping[str, Endpoint]
    """GET routes, which list models."""
    authorize: Callable[[Call], None]
    refuse: Callable[[Fault], Refusal]
    request_id_header: str


def refuse_unknown_model(call: Call, message: str) -> None:
    """Every model exists, except those whose name ends in `-does-not-exist`."""
    if call.model.endswith("-does-not-exist"):
        raise NotFound(message, param="model", code="model_not_found")


def refuse_long_prompt(question: Question, message: str) -> None:
    """`message` may name `{tokens}` and `{limit}`."""
    tokens = count_tokens(question.prompt)
    if tokens > CONTEXT_TOKENS:
        words = message.format(tokens=tokens, limit=CONTEXT_TOKENS)
        raise InvalidInput(words, param="messages", code="context_length_exceeded")


def is_wrong_key(key: str) -> bool:
    """Any key is right, except those that begin with `invalid`."""
    return key.startswith("invalid")


def format_event(body: Json, name: str | None = None) -> bytes:
    """One server-sent event."""
    data = b"data: " + orjson.dumps(body) + b"\n\n"
    return data if name is None else f"event: {name}\n".encode() + data
