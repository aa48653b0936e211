"""A client for tests: the credential of each call is that of its settings, as the gate finds it."""

from __future__ import annotations

from collections.abc import Sequence

from factory.config import Settings
from factory.domain.message import Completion, Embeddings, Message, Params
from factory.llm.call import CallTrace, ProviderClient
from factory.llm.catalog import Model
from factory.llm.endpoint import endpoint_of


class Caller:
    """Calls models with one installation's settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = ProviderClient(settings)

    async def complete(
        self, model: Model, messages: Sequence[Message], params: Params, trace: CallTrace
    ) -> Completion:
        endpoint = endpoint_of(self._settings, model)
        return await self._client.complete(model, messages, params, trace, endpoint)

    async def embed(self, model: Model, texts: Sequence[str], trace: CallTrace) -> Embeddings:
        return await self._client.embed(model, texts, trace, endpoint_of(self._settings, model))

    async def close(self) -> None:
        await self._client.close()
