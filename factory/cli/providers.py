"""Which providers are simulated, and the environment that sends their calls to the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SIMULATED_KEY = "simulated"


@dataclass(frozen=True, slots=True)
class Access:
    """How workers learn of a provider, and where the simulator plays it."""

    provider: str
    base_url: str
    """Environment variable."""
    key: str | None
    """Environment variable; None for a provider that wants no key."""
    path: str
    """Below the simulator's URL."""
    model: str
    """One to show in examples."""


HOSTED = (
    Access("openai", "OPENAI_BASE_URL", "OPENAI_API_KEY", "/openai/v1", "openai/gpt-4o-mini"),
    Access(
        "anthropic",
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_API_KEY",
        "/anthropic",
        "anthropic/claude-haiku-4-5",
    ),
    Access("gemini", "GEMINI_BASE_URL", "GOOGLE_API_KEY", "/gemini", "gemini/gemini-2.5-flash"),
)
OLLAMA = Access("ollama", "OLLAMA_BASE_URL", None, "/ollama", "ollama/llama3.2")


def to_simulate(environ: Mapping[str, str], *, force: bool) -> tuple[Access, ...]:
    """All if forced, none where any provider has a key, otherwise all but an Ollama that is named."""
    if force:
        return (*HOSTED, OLLAMA)
    if any(environ.get(access.key) for access in HOSTED if access.key):
        return ()
    return HOSTED if environ.get(OLLAMA.base_url) else (*HOSTED, OLLAMA)


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
