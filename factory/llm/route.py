"""Which models may serve a job, and when the next of them may stand in."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from factory.errors import (
    ContentFiltered,
    ContextTooLong,
    FactoryError,
    InvalidInput,
    OutputCut,
    OutputRefused,
    ProviderAuthFailed,
    ProviderError,
    ProviderRefused,
    QuotaExhausted,
)
from factory.llm.catalog import Catalog, Model


def route(catalog: Catalog, model: str, fallbacks: Sequence[str]) -> tuple[Model, ...]:
    """The models to try, in order, each once.

    Raises InvalidInput for a name that the catalog lacks, and for a fallback of another mode: an
    embedding cannot stand in for a chat.
    """
    first = catalog.find(model)
    others = [catalog.find(name) for name in fallbacks]
    for other in others:
        if other.mode != first.mode:
            raise InvalidInput(
                f"{other.id} is for {other.mode}, {first.id} for {first.mode}", param="fallbacks"
            )
    return tuple(dict.fromkeys((first, *others)))


def should_fall_back(error: FactoryError, asked: Collection[str] = ()) -> bool:
    """Whether another model may succeed where this one failed.

    Yes for what is wrong with the provider (limits, overload, outages, timeouts) and with our account
    there: a revoked key or a spent credit at one provider is an outage for everyone but its owner, and
    fallbacks are named to be served meanwhile; metrics and logs still tell. Yes too for an input
    that does not fit this model's window, since the next may have a larger one, and for one that cannot be said
    in this provider's words. No for any other refusal, which is about the request and would only be paid for
    twice, and no for what is not a provider's failure.

    What a model or a filter would not answer, and an answer that was cut, go to another model only where the job
    has `asked` for that (`fallback_on`: `refused`, `content_filter`, `cut`): fallbacks are mostly named for outages, and what one
    provider's policy refuses may be held against the account at the next.
    """
    if isinstance(error, OutputRefused | OutputCut | ContentFiltered):
        return error.fallback_reason in asked
    if isinstance(error, ContextTooLong | QuotaExhausted | ProviderAuthFailed):
        return True
    return isinstance(error, ProviderError) and not isinstance(error, ProviderRefused)
