"""Base URLs and credentials of the providers that we call ourselves, and the request that is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from multidict import CIMultiDict

from factory.config import Settings
from factory.errors import ProviderAuthFailed
from factory.llm.catalog import LOCAL_EMBEDDING, Model
from factory.providers import BY_NAME, PROVIDERS
from factory.providers.provider import Key


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The base URL of a provider, and the key that it needs (None: it needs none)."""

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


def endpoint_of(settings: Settings, model: Model) -> Endpoint | None:
    """Where a call of the model goes, with whose credential; None where LiteLLM finds both, or a worker computes.

    Raises ProviderAuthFailed for a setting that is missing.
    """
    known = BY_NAME.get(model.provider)
    if known is None or model.id == LOCAL_EMBEDDING.id:
        return None
    if model.mode == "embedding" and known.embeddings is None:
        return None
    return find_endpoint(settings, model.provider)


def find_endpoint(settings: Settings, provider: str) -> Endpoint:
    """The endpoint of `provider`, one of those that we call ourselves. Raises ProviderAuthFailed for a missing
    setting.
    """
    known = BY_NAME[provider]
    base_url = settings.of_provider(known.base_url.setting)
    if not base_url:
        raise ProviderAuthFailed(f"{known.base_url.setting} is not set", provider=provider)
    return Endpoint(base_url, _key(settings, provider, known.key))


def _key(settings: Settings, provider: str, key: Key | None) -> str | None:
    if key is None:
        return None
    value = settings.of_provider(key.setting)
    if not value:
        if key.needed:
            raise ProviderAuthFailed(f"{key.setting} is not set", provider=provider)
        return None
    if not (value.isascii() and value.isprintable()):
        raise ProviderAuthFailed(
            f"{key.setting} has a character that no header may carry", provider=provider
        )
    return value


def key_headers(provider: str, key: str | None) -> Mapping[str, str]:
    """The headers with the credential of one call; empty without one."""
    known = BY_NAME[provider].key
    return known.headers(key) if known and key else {}


def fingerprint(endpoint: Endpoint | None, secret: str) -> str:
    """Tells credentials apart, and names none of them to who lacks `secret`."""
    known = "" if endpoint is None else f"{endpoint.base_url}\n{endpoint.key or ''}"
    return blake2b(known.encode(), key=secret.encode()[:64], digest_size=12).hexdigest()


def missing_keys(settings: Settings) -> dict[str, str]:
    """Providers whose required key is not set, each with the variable that is missing."""
    needed = {one.name: one.key.setting for one in PROVIDERS if one.key and one.key.needed}
    return {name: setting for name, setting in needed.items() if not settings.of_provider(setting)}
