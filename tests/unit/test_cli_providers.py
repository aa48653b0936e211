from __future__ import annotations

from factory.cli.providers import example_model, simulated_environment, to_simulate
from factory.providers import PROVIDERS


def _names(environ: dict[str, str], *, force: bool = False) -> list[str]:
    return [access.provider for access in to_simulate(environ, force=force)]


ALL = [one.name for one in PROVIDERS if one.simulated]


def test_without_any_key_all_are_simulated() -> None:
    assert sorted(_names({})) == sorted(ALL)
    assert _names({})[:3] == ["openai", "anthropic", "gemini"]


def test_an_ollama_that_is_named_is_not_simulated() -> None:
    found = _names({"OLLAMA_BASE_URL": "http://127.0.0.1:11434"})
    assert set(found) == {*ALL} - {"ollama"}


def test_with_one_key_nothing_is_simulated() -> None:
    assert _names({"ANTHROPIC_API_KEY": "sk-ant-1"}) == []


def test_an_empty_key_is_no_key() -> None:
    assert len(_names({"OPENAI_API_KEY": ""})) == len(ALL)


def test_simulating_can_be_forced_whatever_keys_there_are() -> None:
    assert len(_names({"OPENAI_API_KEY": "sk-1"}, force=True)) == len(ALL)


def test_no_real_key_reaches_the_simulator() -> None:
    environment = simulated_environment(to_simulate({}, force=True), "http://127.0.0.1:8090")
    assert environment["OPENAI_API_KEY"] == "simulated"
    assert environment["OPENAI_BASE_URL"] == "http://127.0.0.1:8090/openai/v1"
    assert environment["GEMINI_BASE_URL"] == "http://127.0.0.1:8090/gemini"


def test_the_example_names_a_model_that_can_be_called() -> None:
    assert example_model({}) == "openai/gpt-4o-mini"
    assert example_model({"GOOGLE_API_KEY": "k"}) == "gemini/gemini-2.5-flash"
