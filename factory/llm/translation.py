"""Translating between our words and a provider's: at once where that is quick, otherwise in a child process.

LiteLLM replaces references and walks schemas and messages many times, in Python.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from factory.domain.message import Completion, Embeddings, Message, Params
from factory.errors import ProviderCutOff, Untranslatable, WorkLost, WorkTooLong
from factory.isolation.processes import Processes
from factory.llm import provider
from factory.llm.catalog import Model
from factory.llm.embedding import read_embeddings
from factory.llm.endpoint import Endpoint, Request
from factory.llm.provider import Wire
from factory.llm.schema import Measured
from factory.llm.template import Templates

TRANSLATION_S = 10.0
TRANSLATORS = 2
IDLE_S = 60.0
"""A child that has LiteLLM takes 170 MB."""
WIRES = 256
"""How many models' wires are kept; callers choose the names of Ollama's models."""
QUICK_MESSAGES = 1_000
QUICK_SCHEMA_STEPS = 600_000
"""Values of the expanded schema times its definitions (and 200): about 30 of these steps take a microsecond."""
QUICK_BODY_BYTES = 1 << 20
QUICK_VECTORS_BYTES = 4 << 20
"""A hundred vectors of 1,536 numbers: 30 ms."""


class Translator:
    """Translates for one event loop that others share."""

    def __init__(self) -> None:
        self._processes = Processes(
            "translation of the call",
            most=TRANSLATORS,
            modules=("factory.llm.translation",),
            idle_s=IDLE_S,
        )
        self._templates = Templates()

    async def request(
        self,
        model: Model,
        endpoint: Endpoint,
        messages: Sequence[Message],
        params: Params,
        schema: Measured | None,
        owner: str,
    ) -> Request:
        """The call in the provider's words. Raises Untranslatable."""
        if is_quick(messages, schema):
            spoken = wire(model, endpoint.base_url)
            return self._templates.request(spoken, messages, params, endpoint.key)
        try:
            return await self._processes.run(
                write_request,
                (model, endpoint, messages, params),
                timeout_s=TRANSLATION_S,
                owner=owner,
            )
        except (WorkTooLong, WorkLost) as error:
            raise Untranslatable(
                f"the request cannot be translated for {model.provider}: {error.message}",
                provider=model.provider,
            ) from None

    async def completion(
        self,
        model: Model,
        base_url: str,
        request: Request,
        body: bytes,
        latency_ms: int,
        owner: str,
    ) -> Completion:
        """The answer in our words. Raises ProviderCutOff where there is none to read."""
        if len(body) <= QUICK_BODY_BYTES:
            return wire(model, base_url).completion(request, body, latency_ms)
        try:
            return await self._processes.run(
                read_completion,
                (model, base_url, replace(request, body=b""), body, latency_ms),
                timeout_s=TRANSLATION_S,
                owner=owner,
            )
        except (WorkTooLong, WorkLost):
            raise _too_long(model, body) from None

    async def embeddings(
        self, model: Model, texts: Sequence[str], body: bytes, latency_ms: int, owner: str
    ) -> Embeddings:
        """One vector a text, in order. Raises ProviderCutOff where there are none to read."""
        if len(body) <= QUICK_VECTORS_BYTES:
            return read_embeddings(model, texts, body, latency_ms)
        try:
            return await self._processes.run(
                read_embeddings,
                (model, texts, body, latency_ms),
                timeout_s=TRANSLATION_S,
                owner=owner,
            )
        except (WorkTooLong, WorkLost):
            raise _too_long(model, body) from None

    async def complete_other(
        self,
        model: Model,
        messages: Sequence[Message],
        params: Params,
        headers: Mapping[str, str],
        timeout_s: float,
        schema: Measured | None,
        owner: str,
    ) -> Completion:
        """A call that LiteLLM makes as a whole, see `provider.complete_other`."""
        if is_quick(messages, schema):
            return await provider.complete_other(model, messages, params, headers, timeout_s)
        return await self._processes.run(
            complete_apart,
            (model, messages, params, dict(headers), timeout_s),
            timeout_s=timeout_s + TRANSLATION_S,
            owner=owner,
        )

    async def close(self) -> None:
        """Ends the child processes."""
        await self._processes.close()


def is_quick(messages: Sequence[Message], schema: Measured | None) -> bool:
    """Whether the translation surely takes less than some 30 ms."""
    if len(messages) > QUICK_MESSAGES:
        return False
    return schema is None or schema.values * (schema.definitions + 200) <= QUICK_SCHEMA_STEPS


def _too_long(model: Model, body: bytes) -> ProviderCutOff:
    return ProviderCutOff(
        f"the answer of {model.provider} takes too long to read: {len(body):,} bytes",
        provider=model.provider,
        http_status=200,
    )


def write_request(
    model: Model, endpoint: Endpoint, messages: Sequence[Message], params: Params
) -> Request:
    """For a child process."""
    return wire(model, endpoint.base_url).request(messages, params, endpoint.key)


def read_completion(
    model: Model, base_url: str, request: Request, body: bytes, latency_ms: int
) -> Completion:
    """For a child process."""
    return wire(model, base_url).completion(request, body, latency_ms)


def complete_apart(
    model: Model,
    messages: Sequence[Message],
    params: Params,
    headers: Mapping[str, str],
    timeout_s: float,
) -> Completion:
    """For a child process."""

    async def complete() -> Completion:
        try:
            return await provider.complete_other(model, messages, params, headers, timeout_s)
        finally:
            await provider.close_other()

    return asyncio.run(complete())


@lru_cache(maxsize=WIRES)
def wire(model: Model, base_url: str) -> Wire:
    """How the model is spoken to there. No credential is part of it: that is an argument of each call."""
    return Wire(model, base_url)
