from __future__ import annotations

import pytest

from factory.errors import (
    BudgetExceeded,
    ContentFiltered,
    ContextTooLong,
    FactoryError,
    InvalidInput,
    InvalidOutput,
    OutputCut,
    OutputRefused,
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderOverloaded,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    Untranslatable,
)
from factory.llm.catalog import Catalog, Model
from factory.llm.route import route, should_fall_back

CATALOG = Catalog(
    [
        Model("openai", "gpt", "chat", None),
        Model("anthropic", "claude", "chat", None),
        Model("openai", "embed", "embedding", None),
    ]
)


def test_a_route_tries_the_model_first_and_each_once() -> None:
    models = route(CATALOG, "gpt", ["anthropic/claude", "openai/gpt", "claude"])
    assert [model.id for model in models] == ["openai/gpt", "anthropic/claude"]


def test_an_embedding_cannot_stand_in_for_a_chat() -> None:
    with pytest.raises(InvalidInput) as caught:
        route(CATALOG, "gpt", ["embed"])
    assert caught.value.param == "fallbacks"


@pytest.mark.parametrize(
    "kind",
    [
        RateLimited,
        ProviderOverloaded,
        ProviderUnavailable,
        ProviderTimeout,
        ProviderCutOff,
        ProviderAuthFailed,
        QuotaExhausted,
        ContextTooLong,
    ],
)
def test_another_model_stands_in_for_what_is_wrong_with_this_one(kind: type[ProviderError]) -> None:
    assert should_fall_back(kind("no", provider="openai"))


@pytest.mark.parametrize(
    "error",
    [ProviderRefused("no", provider="openai"), InvalidOutput("no"), BudgetExceeded("no")],
)
def test_no_other_model_is_asked_for_what_is_wrong_with_the_request(error: FactoryError) -> None:
    assert not should_fall_back(error)


REFUSED = [OutputRefused("no"), ContentFiltered("no", provider="openai")]


@pytest.mark.parametrize("error", [*REFUSED, OutputCut("no")])
def test_a_refusal_goes_to_another_model_only_where_the_job_asks(error: FactoryError) -> None:
    assert not should_fall_back(error)
    assert not should_fall_back(error, ["other"])
    assert should_fall_back(error, ["refused", "content_filter"] if error in REFUSED else ["cut"])


def test_what_cannot_be_said_in_one_providers_words_may_be_in_anothers() -> None:
    assert should_fall_back(Untranslatable("no", provider="openai"))
