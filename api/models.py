"""`GET /api/models`: what jobs may name, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from api.answers import list_answer
from api.auth import require
from api.gateway import gateway
from api.schemas.platform import ModelList
from factory.domain.access import Scope
from factory.domain.money import Price
from factory.llm.catalog import HOME_PROVIDERS, Catalog, Model

MILLION = Decimal(1_000_000)

blueprint = APIBlueprint("models", __name__, tag="Models", url_prefix="/api/models")
blueprint.before_request(require(Scope.JOBS))


class ModelQuery(BaseModel):
    """Which models to list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=1000, description="At most so many in a page.")
    after: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="Only models whose id sorts behind this one."
    )
    provider: Annotated[str, Field(max_length=100)] | None = Field(
        None,
        description="Only models of this provider. Without it: those of the providers that have lanes of their "
        f"own ({', '.join(HOME_PROVIDERS)}).",
        examples=["openai", "azure"],
    )
    mode: Literal["chat", "embedding"] | None = Field(
        None, description="`chat` for completions, `embedding` for texts to search."
    )


@blueprint.get("")
@blueprint.input(ModelQuery, location="query")
@blueprint.output(ModelList)
@blueprint.doc(operation_id="list_models")
def list_models(query_data: ModelQuery) -> Response:
    """List the models that jobs may name, by id.

    Costs and `max_cost_usd` are computed with these prices. Whether a provider's key is set only its
    workers know. Any model of Ollama and of an OpenAI-compatible server may be named, listed or not.
    """
    found = _chosen(gateway().intake.catalog, query_data)
    page = list(islice(found, query_data.limit + 1))
    data = [_model_json(model) for model in page[: query_data.limit]]
    return list_answer(data, has_more=len(page) > query_data.limit)


def _chosen(catalog: Catalog, query: ModelQuery) -> Iterable[Model]:
    providers = (query.provider,) if query.provider else HOME_PROVIDERS
    return (
        model
        for model in catalog.by_id
        if model.provider in providers
        and query.mode in (None, model.mode)
        and (query.after is None or model.id > query.after)
    )


def _model_json(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "provider": model.provider,
        "mode": model.mode,
        "max_input_tokens": model.max_input_tokens,
        "max_output_tokens": model.max_output_tokens,
        "price": _price_json(model.price) if model.price else None,
    }


def _price_json(price: Price) -> dict[str, Any]:
    """US dollars for a million tokens."""
    return {
        "input_usd_per_million": float(price.input_usd * MILLION),
        "cached_usd_per_million": float(price.cached_usd * MILLION),
        "output_usd_per_million": float(price.output_usd * MILLION),
        "long_inputs": [
            {"above_tokens": above, **_price_json(tier)} for above, tier in price.long_inputs
        ],
    }
