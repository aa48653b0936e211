"""What there is to know of a provider. Facts: nothing here calls anyone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Dialect = Literal["openai", "anthropic", "gemini", "ollama"]
"""Whose shape requests and answers have; `factory.llm` has the code for each."""
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Token:
    """A credential of another kind that may stand in the key's place. It travels as a bearer, with `beside`."""

    begins: str
    beside: Headers = ()


@dataclass(frozen=True, slots=True)
class Key:
    """The credential: the setting that holds it, and the header that carries it."""

    setting: str
    """`OPENAI_API_KEY`."""
    header: str = "Authorization"
    scheme: str = "Bearer "
    needed: bool = True
    """Without it no call is tried."""
    owner: str = ""
    """Whose keys they are, where that is not the provider's title."""
    begins: tuple[str, ...] = ()
    """How these keys begin, and no other provider's do."""
    token: Token | None = None

    def headers(self, value: str) -> dict[str, str]:
        """What carries the credential, for one call."""
        if self.token and value.startswith(self.token.begins):
            return {"Authorization": f"Bearer {value}", **dict(self.token.beside)}
        return {self.header: self.scheme + value}


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """Where the provider answers: the setting, and its default."""

    setting: str
    """`OPENAI_BASE_URL`."""
    default: str | None
    """None: there is none, and nothing is called until the setting is there."""
    what: str
    """A sentence for the page of settings."""
    slip: tuple[str, str] | None = None
    """A value that is nearly right, and what is to be said of it."""
    was: str | None = None
    """A variable that LiteLLM reads for the same, which counts where the setting is missing."""


@dataclass(frozen=True, slots=True)
class Chat:
    """The chat API: `path` below the base URL, with `{model}` where the model stands in it."""

    dialect: Dialect
    path: str
    litellm: str
    """What LiteLLM calls it. LiteLLM writes the requests."""
    cut_words: tuple[str, ...] = ()
    """Reasons to stop that are its own, and mean that the answer was cut at its longest."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The embedding API, and what one call of it takes. `most_tokens` None: there is no such limit."""

    dialect: Dialect
    path: str
    most_texts: int
    most_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Failures:
    """What tells its refusals apart, beyond the usual statuses.

    Codes are its own names for errors. Words are patterns, in any case, for parts of its messages.
    """

    no_credit: frozenset[str] = frozenset()
    no_credit_statuses: frozenset[int] = frozenset()
    wrong_key: frozenset[str] = frozenset()
    """Reasons that stand in the details of an error."""
    overloaded_statuses: frozenset[int] = frozenset()
    too_long: frozenset[str] = frozenset()
    """The input does not fit the model's window."""
    too_long_words: tuple[str, ...] = ()
    filtered: frozenset[str] = frozenset()
    filtered_words: tuple[str, ...] = ()
    spoiled: frozenset[str] = frozenset()
    """The model's answer was of no use to the provider itself: another attempt may be."""
    missing_words: tuple[str, ...] = ()
    """In a 200 without a status of its own: there is no such path or model."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """Where the simulator plays the provider, below its own URL, and a model to show in examples."""

    path: str
    model: str


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider. `name` is the first part of its models' names and of its lanes."""

    name: str
    title: str
    base_url: BaseUrl
    chat: Chat
    embeddings: Embeddings | None = None
    key: Key | None = None
    failures: Failures = field(default_factory=Failures)
    simulated: Simulated | None = None
    domain: str | None = None
    """Its public hosts, which are no secret of an installation: `openai.com`."""
    free: bool = False
    """It runs on own hardware: its calls cost nothing."""
    any_model: bool = False
    """Its models are known to its owner alone: any name is taken."""
    usual: bool = False
    """Every installation is set up for it: its lanes have workers of their own (`other` in `--lanes` does not mean
    it), the demo calls it, and the template of `.env` has a line for its key."""
    rank: int = 50
    """Its place: lanes, tables, and models that are named without their provider."""
