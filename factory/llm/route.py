"""Which models may serve a job, and when the next of them may stand in."""

from __future__ import annotations

from collections.abc import Sequence

from factory.errors import (
    ContextTooLong,
    FactoryError,
    InvalidInput,
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


def should_fall_back(error: FactoryError) -> bool:
    """Whether another model may succeed where this one failed.

    Yes for what is wrong with the provider (limits, overload, outages, timeouts) and with our account
    there: a revoked key or a spent credit at one provider is an outage for everyone but its owner, and
    fallbacks are named to be served meanwhile; metrics and logs still tell. Yes too for an input
    that does not fit this model's window, since the next may have a larger one. No for any other
    refusal, which is about the request and would only be paid for twice, and no for what is not a
    provider's failure.
    """
    if isinstance(error, ContextTooLong | QuotaExhausted | ProviderAuthFailed):
        return True
    return isinstance(error, ProviderError) and not isinstance(error, ProviderRefused)
