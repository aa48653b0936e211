"""Which providers are simulated, and the environment that sends their calls to the simulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from factory.providers import BY_NAME, PROVIDERS

SIMULATED_KEY = "simulated"


@dataclass(frozen=True, slots=True)
class Access:
    """How workers are told of a provider, and the simulator's path for it."""

    provider: str
    base_url: str
    """Environment variable."""
    key: str | None
    """Environment variable; None for a provider that wants no key."""
    path: str
    """The path below the simulator's URL."""
    model: str
    """A model to show in examples."""


def _accesses() -> Iterator[Access]:
    for one in PROVIDERS:
        if one.simulated:
            key = one.key.setting if one.key else None
            path, model = one.simulated.path, one.simulated.model
            yield Access(one.name, one.base_url.setting, key, path, model)


def _is_hosted(provider: str) -> bool:
    key = BY_NAME[provider].key
    return key is not None and key.needed


HOSTED = tuple(one for one in _accesses() if _is_hosted(one.provider))
"""Providers that need a key."""
OWN = tuple(one for one in _accesses() if not _is_hosted(one.provider))
"""Providers that are reached by a base URL of the user's own, such as Ollama."""


def to_simulate(environ: Mapping[str, str], *, force: bool) -> tuple[Access, ...]:
    """All if forced, none if any provider has a key, otherwise all except those whose base URL is set."""
    if force:
        return (*HOSTED, *OWN)
    if any(environ.get(access.key) for access in HOSTED if access.key):
        return ()
    return (*HOSTED, *(access for access in OWN if not environ.get(access.base_url)))


def simulated_environment(simulated: tuple[Access, ...], simulator_url: str) -> dict[str, str]:
    """Variables for the workers. The key is a dummy: no real one leaves for a simulator."""
    environment = {}
    for access in simulated:
        environment[access.base_url] = simulator_url + access.path
        if access.key:
            environment[access.key] = SIMULATED_KEY
    return environment


def example_model(environ: Mapping[str, str]) -> str:
    """A model that can be called: of the first provider with a key, or of the first simulated one."""
    keyed = (access.model for access in HOSTED if access.key and environ.get(access.key))
    return next(keyed, HOSTED[0].model)
