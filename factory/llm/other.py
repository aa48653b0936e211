"""Providers without a file, which LiteLLM calls: their credentials, and what its exceptions mean. LiteLLM's messages
may hold hosts, tracebacks and paths. Only a provider's own words are passed on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from factory.document import read_json, write_json
from factory.errors import (
    ContentFiltered,
    ContextTooLong,
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    Untranslatable,
)
from factory.llm.failure import error_within, provider_failure

OTHER_CREDENTIALS = frozenset(
    {"bedrock", "sagemaker", "sagemaker_chat", "vertex_ai", "github_copilot", "github", "oci"}
)
"""Providers whose credentials may come from a file, a role or the machine: only a call shows whether there are any."""
OTHER_NAMES: Mapping[str, str] = {"cohere": "CO_API_KEY", "huggingface": "HF_TOKEN"}
MESSAGE_CHARS = 300
PREFIX = re.compile(r"^(?:litellm\.)?(?:\w+(?:Error|Exception|Timeout)\s*[:-]\s*)+")
BODY = re.compile(r"\{.*\}", re.DOTALL)
VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
NO_CREDENTIALS = re.compile(
    r"missing credentials|missing \w+ (?:\w+ )?key|api_key client option|not set|no api.?key|unable to locate credentials",
    re.IGNORECASE,
)
NO_CONNECTION = re.compile(
    r"cannot connect to host|connection error|connecterror|connection refused|name or service not known"
    r"|all connection attempts failed",
    re.IGNORECASE,
)
NO_MODULE = re.compile(r"No module named '([\w.]+)'")


def missing_variable(
    provider: str, missing: Iterable[str], variables: Mapping[str, str] = os.environ
) -> str | None:
    """The variable to name, of those that LiteLLM finds missing for a provider; None if there may be credentials."""
    if provider in OTHER_CREDENTIALS:
        return None
    stem = provider.upper().split("_")[0]
    has_key = any(
        value
        and (
            (stem in name and re.search("KEY|TOKEN|SECRET", name))
            or name == OTHER_NAMES.get(provider)
        )
        for name, value in variables.items()
    )
    for name in sorted(missing, key=lambda one: not one.endswith("_API_KEY")):
        if name.endswith("_API_KEY") and not has_key:
            return name
        if name == "AZURE_API_BASE" and not variables.get("AZURE_OPENAI_ENDPOINT"):
            return name
    return None


def other_failure(provider: str, error: Exception) -> ProviderError:
    """The error for LiteLLM's exception: the same that an answer with its status would get."""
    text = str(error)
    for fits, meaning in MEANINGS:
        if fits(error, text):
            return meaning(provider, text)
    status = getattr(error, "status_code", None)
    if type(status) is not int or not 400 <= status <= 599 or _is(error, "APIConnectionError"):
        # LiteLLM raises this for anything that broke, even for a paid answer that it could not read.
        return ProviderCutOff(f"{provider}: the call broke off", provider=provider)
    return provider_failure(
        provider,
        status,
        getattr(error, "litellm_response_headers", None) or {},
        write_json({"error": _own_words(text, status) | _code(error)}),
    )


def _is(error: Exception, name: str) -> bool:
    return any(kind.__name__ == name for kind in type(error).__mro__)


def _own_words(text: str, status: int) -> dict[str, Any]:
    """The provider's own words: the error object in the text, or its first line. Empty for a 5xx without an error
    object.
    """
    if found := BODY.search(text):
        try:
            error = error_within(read_json(found[0], exact=False))
        except ValueError:
            error = {}
        if isinstance(error.get("message"), str):
            return {"message": error["message"]}
    if status >= 500:
        return {"message": "an error of the provider"}
    line = PREFIX.sub("", text).strip().split("\n")[0]
    return {"message": line[:MESSAGE_CHARS] or "no words"}


def _code(error: Exception) -> dict[str, str]:
    code = getattr(error, "code", None)
    return {"code": code} if isinstance(code, str) else {}


def _no_credentials(provider: str, text: str) -> ProviderError:
    names = [name for name in VARIABLE.findall(text) if re.search("KEY|TOKEN|SECRET|_ID", name)]
    told = (
        f"set {' or '.join(dict.fromkeys(names))}"
        if names
        else "set the variables that LiteLLM reads"
    )
    return ProviderAuthFailed(f"{provider} has no credentials: {told}", provider=provider)


def _no_module(provider: str, text: str) -> ProviderError:
    module = NO_MODULE.search(text)
    return Untranslatable(
        f"{provider} needs the Python module {module[1] if module else 'of its SDK'}, which is not installed",
        provider=provider,
    )


def _words(kind: type[ProviderError], words: str) -> Callable[[str, str], ProviderError]:
    return lambda provider, _text: kind(f"{provider}: {words}", provider=provider)


MEANINGS: tuple[
    tuple[Callable[[Exception, str], bool], Callable[[str, str], ProviderError]], ...
] = (
    (
        lambda error, _: _is(error, "ContextWindowExceededError"),
        _words(ContextTooLong, "the input does not fit the model's context window"),
    ),
    (
        lambda error, _: _is(error, "ContentPolicyViolationError"),
        _words(ContentFiltered, "a content filter stopped the input"),
    ),
    (
        lambda error, _: _is(error, "APITimeoutError") or isinstance(error, TimeoutError),
        _words(ProviderTimeout, "no answer in time"),
    ),
    (lambda _, text: NO_MODULE.search(text) is not None, _no_module),
    (
        lambda error, text: (
            getattr(error, "status_code", 500) in (401, 500)
            and NO_CREDENTIALS.search(text) is not None
        ),
        _no_credentials,
    ),
    (
        lambda _, text: NO_CONNECTION.search(text) is not None,
        _words(ProviderUnavailable, "connection to the provider failed"),
    ),
)
"""What LiteLLM's exception classes and words mean; the first that matches counts."""
