from __future__ import annotations

from decimal import Decimal

import pytest

from factory.domain.money import FREE
from factory.errors import InvalidInput
from factory.llm.catalog import Catalog, load_catalog


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog("groq/of-tomorrow, openai/gpt-4o-mini,acme/embed-small")


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini"),
        ("gpt-4o-mini", "openai/gpt-4o-mini"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("gemini/gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("ollama/some:thing", "ollama/some:thing"),
        ("gemma3-270m", "local/gemma3-270m"),
        ("mistral/mistral-small-latest", "mistral/mistral-small-latest"),
        ("openrouter/openai/gpt-4o", "openrouter/openai/gpt-4o"),
    ],
)
def test_a_model_is_found_by_its_full_name_or_its_bare_one(
    catalog: Catalog, name: str, model_id: str
) -> None:
    assert catalog.find(name).id == model_id


def test_prices_are_exactly_what_the_list_says(catalog: Catalog) -> None:
    price = catalog.find("claude-sonnet-4-5").price
    assert price is not None
    assert price.input_usd == Decimal("0.000003")
    assert price.output_usd == Decimal("0.000015")
    assert price.cached_usd == Decimal("0.0000003")
    assert price.cache_write_usd == Decimal("0.00000375")
    assert price.at(200_000) is price
    assert price.at(200_001).input_usd == Decimal("0.000006")


def test_a_cached_token_without_a_price_of_its_own_costs_as_any_other(catalog: Catalog) -> None:
    price = catalog.find("text-embedding-3-small").price
    assert price is not None
    assert price.cached_usd == price.input_usd == Decimal("0.00000002")


def test_the_longest_tier_comes_first(catalog: Catalog) -> None:
    for model in catalog:
        tiers = [above for above, _ in model.price.long_inputs] if model.price else []
        assert tiers == sorted(tiers, reverse=True)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("local/all-minilm-l6-v2", "embedding"),
        ("local/gemma3-270m", "chat"),
        ("ollama/nomic-embed-text", "embedding"),
        ("ollama/llama3.2", "chat"),
    ],
)
def test_what_runs_on_own_hardware_is_free(catalog: Catalog, name: str, mode: str) -> None:
    model = catalog.find(name)
    assert model.price is FREE
    assert model.mode == mode


@pytest.mark.parametrize("name", ["groq/of-tomorrow", "acme/embed-small"])
def test_an_extra_model_has_an_unknown_price(catalog: Catalog, name: str) -> None:
    assert catalog.find(name).price is None


def test_an_extra_model_that_the_list_has_keeps_its_price(catalog: Catalog) -> None:
    assert catalog.find("openai/gpt-4o-mini").price is not None


def test_a_model_with_half_a_price_has_none(catalog: Catalog) -> None:
    assert catalog.find("dashscope/qwen3-max").price is None


@pytest.mark.parametrize(
    ("name", "proposed"),
    [("gpt-4o-mni", "gpt-4o-mini"), ("anthropic/claude-sonet-4-5", "anthropic/claude-sonnet-4-5")],
)
def test_a_misspelled_name_is_answered_with_close_ones(
    catalog: Catalog, name: str, proposed: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        catalog.find(name)
    assert caught.value.param == "model"
    assert proposed in caught.value.message


@pytest.mark.parametrize("name", ["", "/", "ollama/", "nobody/knows", "x" * 10_000, "dall-e-3"])
def test_an_unknown_name_is_refused_in_few_words(catalog: Catalog, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        catalog.find(name)
    assert len(caught.value.message) < 500
