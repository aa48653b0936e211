"""The files of providers: found, whole, and at odds with none of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

import factory.providers
from factory.config import Settings
from factory.config.environment import SECRETS
from factory.domain.lanes import OTHER, SEARCH, WEBHOOK
from factory.domain.lanes import PROVIDERS as LANES
from factory.llm.embedding_calls import LIMITS
from factory.llm.saying import READERS
from factory.providers import BY_NAME, PROVIDERS, Provider
from factory.providers.provider import Key, Token
from factory.simulator.providers import PROVIDERS as PLAYED

FILES = {path.stem for path in Path(factory.providers.__file__).parent.glob("*.py")}
ROOT = Path(__file__).parents[2]


def settings() -> list[str]:
    keys = [one.key.setting for one in PROVIDERS if one.key]
    return [*keys, *(one.base_url.setting for one in PROVIDERS)]


def test_every_file_is_found() -> None:
    files = {one.name.replace("-", "_") for one in PROVIDERS}
    assert files == FILES - {"__init__", "provider"}
    assert len(BY_NAME) == len(PROVIDERS)


def test_no_two_have_the_same_setting() -> None:
    assert len(set(settings())) == len(settings())
    assert {name.lower() for name in settings()} <= set(Settings.model_fields)
    assert {one.key.setting for one in PROVIDERS if one.key} <= set(SECRETS)


def test_lanes_of_before_keep_their_names_and_their_order() -> None:
    before = ["openai", "anthropic", "gemini", "ollama", "local", WEBHOOK, SEARCH, OTHER]
    assert [name for name in LANES if name in before] == before
    assert list(LANES[:4]) == before[:4]


@pytest.mark.parametrize("one", PROVIDERS, ids=lambda one: one.name)
def test_a_name_can_be_that_of_lanes_and_of_models(one: Provider) -> None:
    assert one.name not in (WEBHOOK, SEARCH, OTHER)
    assert not set(one.name) & set("./* ,")


@pytest.mark.parametrize("one", PROVIDERS, ids=lambda one: one.name)
def test_what_a_file_names_is_there(one: Provider) -> None:
    assert one.chat.dialect in READERS
    assert one.base_url.what.endswith(".")
    if one.embeddings:
        assert LIMITS[one.name].texts == one.embeddings.most_texts
    if one.base_url.slip:
        assert one.base_url.slip[0] != one.base_url.default


@pytest.mark.parametrize("one", PROVIDERS, ids=lambda one: one.name)
def test_what_is_simulated_is_played(one: Provider) -> None:
    if one.simulated is None:
        return
    [played] = [other for other in PLAYED if other.name == one.simulated.path.split("/")[1]]
    below = one.simulated.path.removeprefix(f"/{played.name}")
    assert below + one.chat.path in played.endpoints
    assert one.embeddings is None or below + one.embeddings.path in played.endpoints
    assert one.simulated.model.startswith(f"{one.name}/")


@pytest.mark.parametrize("one", PROVIDERS, ids=lambda one: one.name)
def test_a_provider_with_a_simulator_has_a_page(one: Provider) -> None:
    if one.simulated:
        assert (ROOT / f"docs/how-to/{one.name}.md").exists()


def test_the_credential_is_carried_as_the_key_says() -> None:
    assert Key("K").headers("v") == {"Authorization": "Bearer v"}
    assert Key("K", header="x-key", scheme="").headers("v") == {"x-key": "v"}
    token = Token("oat-", (("beta", "1"),))
    assert Key("K", header="x-key", token=token).headers("oat-1") == {
        "Authorization": "Bearer oat-1",
        "beta": "1",
    }
