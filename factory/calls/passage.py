"""What the gate hands to a kind whose call may be made: the only way to a provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from factory.domain.job import ClaimedJob, public_id
from factory.domain.message import Completion, Embeddings, Message, Params
from factory.llm.call import CallTrace, ProviderClient
from factory.llm.catalog import Model
from factory.llm.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Passage:
    """One call of one model, with the credential and the bound that the gate found."""

    client: ProviderClient
    model: Model
    endpoint: Endpoint | None
    trace: CallTrace
    max_tokens: int | None
    """How many tokens the answer may have, None for no bound."""

    async def complete(self, messages: Sequence[Message], params: Params) -> Completion:
        """As `ProviderClient.complete`, within the bound."""
        if params.max_tokens != self.max_tokens:
            params = replace(params, max_tokens=self.max_tokens)
        return await self.client.complete(self.model, messages, params, self.trace, self.endpoint)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """As `ProviderClient.embed`."""
        return await self.client.embed(self.model, texts, self.trace, self.endpoint)


def trace_of(job: ClaimedJob, step_key: str) -> CallTrace:
    """Whose call it is: for headers that the provider may log, and for turns among projects at child processes."""
    owner = str(job.project_id)
    return CallTrace(public_id(job.id), step_key, job.attempt, job.traceparent, owner=owner)
