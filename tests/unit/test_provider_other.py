"""What LiteLLM's exceptions mean, and which variable is named where there are no credentials."""

from __future__ import annotations

import pytest

from factory.errors import (
    ContextTooLong,
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    Untranslatable,
)
from factory.llm.other import missing_variable, other_failure


class APIError(Exception):
    def __init__(self, text: str, status: int | None = 500) -> None:
        super().__init__(text)
        self.status_code = status


class APIConnectionError(APIError):
    pass


class APITimeoutError(APIError):
    pass


class ContextWindowExceededError(APIError):
    pass


TRACEBACK = "boom 10.1.2.3\nTraceback (most recent call last):\n  File '/usr/lib/secret.py'"


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            APIError("litellm.APIError: ReplicateException - Cannot connect to host x:443 ssl:<S>"),
            ProviderUnavailable,
            "p: connection to the provider failed",
        ),
        (APITimeoutError("x", 408), ProviderTimeout, "p: no answer in time"),
        (TimeoutError("x"), ProviderTimeout, "p: no answer in time"),
        (
            ContextWindowExceededError("x", 400),
            ContextTooLong,
            "p: the input does not fit the model's context window",
        ),
        (APIConnectionError(TRACEBACK), ProviderCutOff, "p: the call broke off"),
        (KeyError("x"), ProviderCutOff, "p: the call broke off"),
        (APIError(TRACEBACK), ProviderUnavailable, "p answered 500: an error of the provider"),
        (
            APIConnectionError("litellm.APIConnectionError: No module named 'google.auth'\nTraceb"),
            Untranslatable,
            "p needs the Python module google.auth, which is not installed",
        ),
        (
            APIError(
                "AzureException - Missing credentials. Please set `AZURE_OPENAI_API_KEY`", 401
            ),
            ProviderAuthFailed,
            "p has no credentials: set AZURE_OPENAI_API_KEY",
        ),
        (
            APIError(
                'litellm.BadRequestError: XException - {"error": {"message": "no field"}}', 400
            ),
            ProviderRefused,
            "p answered 400: no field",
        ),
        (
            APIError("litellm.BadRequestError: XException - plain words\nmore", 400),
            ProviderRefused,
            "p answered 400: plain words",
        ),
    ],
)
def test_an_exception_is_told_in_our_words(
    error: Exception, kind: type[ProviderError], message: str
) -> None:
    found = other_failure("p", error)
    assert type(found) is kind
    assert found.message == message


@pytest.mark.parametrize(
    ("provider", "missing", "variables", "name"),
    [
        ("azure", ["AZURE_API_BASE", "AZURE_API_KEY"], {}, "AZURE_API_KEY"),
        ("azure", ["AZURE_API_BASE", "AZURE_API_KEY"], {"AZURE_AD_TOKEN": "t"}, "AZURE_API_BASE"),
        ("azure", ["AZURE_API_VERSION"], {}, None),
        ("azure", ["AZURE_API_KEY"], {"AZURE_CLIENT_SECRET": "s"}, None),
        ("together_ai", ["TOGETHERAI_API_KEY"], {"TOGETHER_API_KEY": "k"}, None),
        ("cohere", ["COHERE_API_KEY"], {"CO_API_KEY": "k"}, None),
        ("mistral", ["MISTRAL_API_KEY"], {"MISTRAL_API_KEY": ""}, "MISTRAL_API_KEY"),
        ("bedrock", ["AWS_ACCESS_KEY_ID"], {}, None),
        ("hosted_vllm", [], {}, None),
    ],
)
def test_a_missing_variable_is_named(
    provider: str, missing: list[str], variables: dict[str, str], name: str | None
) -> None:
    assert missing_variable(provider, missing, variables) == name
