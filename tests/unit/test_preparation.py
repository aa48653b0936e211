from __future__ import annotations

import logging

import pytest

from factory.config import Settings
from workers.preparation import prepare_calls, tidy_credentials

SETTINGS = Settings(
    database_url="postgresql://nowhere",
    redis_url="redis://nowhere",
    secret_key="test-secret-key-of-32-characters!",
    openai_api_key="sk-1",
)


def test_a_key_of_another_provider_loses_its_newline() -> None:
    environ = {"AZURE_API_KEY": " 'k1'\n", "AZURE_API_BASE": "https://a\n", "OTHER": " x "}
    tidy_credentials(environ)
    assert environ == {"AZURE_API_KEY": "k1", "AZURE_API_BASE": "https://a", "OTHER": " x "}


def test_a_placeholder_is_warned_of_without_its_value(caplog: pytest.LogCaptureFixture) -> None:
    tidy_credentials({"GROQ_API_KEY": "hunter2-changeme"})
    assert "GROQ_API_KEY is a placeholder" in caplog.text
    assert "hunter2" not in caplog.text


def test_providers_without_a_key_are_told_once_for_the_lanes_that_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        prepare_calls(SETTINGS, ["openai.high", "anthropic.high", "webhook.normal"])
    assert [record.getMessage() for record in caplog.records] == [
        "no key for anthropic (ANTHROPIC_API_KEY): jobs for it fail at once"
    ]
