"""Where the providers answer whose calls we carry, and what is sent there."""

from __future__ import annotations

from dataclasses import dataclass

from multidict import CIMultiDict

from factory.config import Settings
from factory.domain.lanes import LOCAL
from factory.errors import ProviderAuthFailed
from factory.llm.catalog import OLLAMA


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The base URL of a provider, and the key that it wants (None: it wants none)."""

    base_url: str
    key: str | None

    def url(self, path: str) -> str:
        """The address of `path`, which begins with a slash."""
        return self.base_url.rstrip("/") + path


@dataclass(frozen=True, slots=True)
class Request:
    """A call on the wire. `wrapped`: the answer comes within the arguments of a made-up tool, as `values`."""

    url: str
    headers: CIMultiDict[str]
    body: bytes
    wrapped: bool = False


def find_endpoint(settings: Settings, provider: str) -> Endpoint:
    """Where `provider`, one of those that we carry, answers. Raises ProviderAuthFailed if its key is not set."""
    if provider == OLLAMA:
        return Endpoint(settings.ollama_base_url, None)
    if provider == LOCAL:
        return Endpoint(settings.local_llm_base_url, None)
    base_url, key, variable = {
        "openai": (settings.openai_base_url, settings.openai_api_key, "OPENAI_API_KEY"),
        "anthropic": (settings.anthropic_base_url, settings.anthropic_api_key, "ANTHROPIC_API_KEY"),
        "gemini": (settings.gemini_base_url, settings.google_api_key, "GOOGLE_API_KEY"),
    }[provider]
    if not key:
        raise ProviderAuthFailed(f"{variable} is not set", provider=provider)
    if not (key.isascii() and key.isprintable()):
        raise ProviderAuthFailed(
            f"{variable} has a character that no header may carry", provider=provider
        )
    return Endpoint(base_url, key)


def missing_keys(settings: Settings) -> dict[str, str]:
    """Providers that cannot be called, and the variable that each lacks."""
    keys = {
        "openai": ("OPENAI_API_KEY", settings.openai_api_key),
        "anthropic": ("ANTHROPIC_API_KEY", settings.anthropic_api_key),
        "gemini": ("GOOGLE_API_KEY", settings.google_api_key),
    }
    return {provider: name for provider, (name, key) in keys.items() if not key}
