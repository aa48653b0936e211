"""The models that a job may name, their limits and their prices.

The prices are LiteLLM's, read from its package's JSON file: importing litellm costs seconds and
165 MB, which the gateway must not pay to know what a model costs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from factory.config.lists import read_models
from factory.domain.lanes import LOCAL
from factory.domain.money import FREE, Price
from factory.errors import InvalidInput, Misconfigured
from factory.providers import BY_NAME, PROVIDERS

Mode = Literal["chat", "embedding"]

PRICES_FILE = "model_prices_and_context_window_backup.json"
HOME_PROVIDERS = tuple(one.name for one in PROVIDERS)
"""Providers whose models may be named without the provider; the first match wins."""
EMBEDDING_NAME = re.compile(r"embed|minilm|bge-|(?:^|[/-])(?:e5|gte)-", re.IGNORECASE)
LONG_INPUT = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider. `price` None: not known, which is not the same as free."""

    provider: str
    name: str
    mode: Mode
    price: Price | None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None

    @property
    def id(self) -> str:
        """`<provider>/<name>`."""
        return f"{self.provider}/{self.name}"


LOCAL_EMBEDDING = Model(LOCAL, "all-minilm-l6-v2", "embedding", FREE, max_input_tokens=256)
"""The model that a worker computes itself. Requests for all others of `local` go to LOCAL_LLM_BASE_URL."""
LOCAL_MODELS = (
    LOCAL_EMBEDDING,
    Model(LOCAL, "gemma3-270m", "chat", FREE, max_input_tokens=32_768),
)


class Catalog:
    """Every known model by `<provider>/<name>`."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = {model.id: model for model in models}

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    @cached_property
    def by_id(self) -> tuple[Model, ...]:
        """All of them, sorted."""
        return tuple(sorted(self, key=lambda model: model.id))

    def find(self, name: str) -> Model:
        """The model called `<provider>/<name>`, or by its bare name where a home provider has it.

        Some providers, such as Ollama, are asked for any model, because only the operator knows which are installed.
        Raises InvalidInput that proposes close matches.
        """
        # Nearly all are found here, so the other names are not even made.
        if model := self._models.get(name):
            return model
        for home in HOME_PROVIDERS:
            if model := self._models.get(f"{home}/{name}"):
                return model
        provider, _, rest = name.partition("/")
        known = BY_NAME.get(provider)
        if known and known.any_model and rest:
            return _unlisted(provider, rest)
        raise InvalidInput(f"unknown model {name[:200]!r}{self._advice(name)}", param="model")

    def _advice(self, name: str) -> str:
        provider, slash, _ = name.partition("/")
        providers = (provider,) if slash else HOME_PROVIDERS
        known = tuple(m.id if slash else m.name for m in self if m.provider in providers)
        close = _close_matches(name[:100], known)
        if close:
            return f"; did you mean {' or '.join(close)}?"
        return "; name one as <provider>/<model>, or list it in EXTRA_MODELS"


def load_catalog(extra_models: str) -> Catalog:
    """The price list, the local models, and the comma-separated `<provider>/<model>` of `extra_models`.

    An extra model that the price list has keeps its price; the price of any other is unknown. Raises ValueError for an
    extra model without a provider, which settings refuse.
    """
    listed = [model for key, entry in _read_prices().items() if (model := _model(key, entry))]
    return Catalog([*_extras(extra_models), *listed, *LOCAL_MODELS])


def _read_prices() -> dict[str, dict[str, Any]]:
    """LiteLLM's price list. `find_spec` locates a top-level package without running it."""
    spec = find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        raise Misconfigured("litellm is not installed: pip install -r requirements.txt")
    path = Path(spec.submodule_search_locations[0], PRICES_FILE)
    prices: dict[str, dict[str, Any]] = json.loads(path.read_bytes(), parse_float=Decimal)
    return prices


def _model(key: str, entry: Mapping[str, Any]) -> Model | None:
    """The model of one line of the list; None for what is neither chat nor embedding."""
    mode = entry.get("mode")
    if mode not in ("chat", "embedding"):
        return None
    provider = _provider(str(entry["litellm_provider"]))
    price = FREE if _is_free(provider) else _price(entry, mode)
    return Model(
        provider,
        key.removeprefix(f"{provider}/"),
        mode,
        price,
        _count(entry.get("max_input_tokens")),
        _count(entry.get("max_output_tokens")),
    )


def _provider(listed: str) -> str:
    """The list has several names for some providers (`vertex_ai-language-models`); calls know one."""
    if listed.startswith("vertex_ai-"):
        return "vertex_ai"
    return listed.removesuffix("_converse").removesuffix("-embedding-models")


def _price(entry: Mapping[str, Any], mode: Mode) -> Price | None:
    """None unless the list has all that a call of this mode costs."""
    base = _rate(entry, "", mode)
    if base is None:
        return None
    long_inputs = sorted(_long_inputs(entry, mode), key=lambda tier: -tier[0])
    return Price(
        base.input_usd,
        base.output_usd,
        base.cached_usd,
        base.cache_write_usd,
        tuple(long_inputs),
    )


def _long_inputs(entry: Mapping[str, Any], mode: Mode) -> Iterator[tuple[int, Price]]:
    for match in filter(None, map(LONG_INPUT.fullmatch, entry)):
        thousands = match[1]
        if rate := _rate(entry, f"_above_{thousands}k_tokens", mode):
            yield int(thousands) * 1000, rate


def _rate(entry: Mapping[str, Any], suffix: str, mode: Mode) -> Price | None:
    """Prices under the keys with `suffix`; what a suffix does not reprice keeps its base price."""

    def usd(key: str) -> Decimal | None:
        value = entry.get(key + suffix, entry.get(key))
        return None if value is None else Decimal(value)

    input_usd, output_usd = usd("input_cost_per_token"), usd("output_cost_per_token")
    if output_usd is None and mode == "embedding":
        output_usd = Decimal(0)
    if input_usd is None or output_usd is None:
        return None
    cached_usd = usd("cache_read_input_token_cost")
    return Price(
        input_usd,
        output_usd,
        input_usd if cached_usd is None else cached_usd,
        usd("cache_creation_input_token_cost"),
    )


def _count(value: object) -> int | None:
    """A few limits of the list are written as text or as a fraction."""
    return int(value) if isinstance(value, int | Decimal) else None


def _extras(extra_models: str) -> Iterator[Model]:
    for provider, name in read_models(extra_models):
        yield _unlisted(provider, name)


def _unlisted(provider: str, name: str) -> Model:
    return Model(provider, name, _guess_mode(name), FREE if _is_free(provider) else None)


def _is_free(provider: str) -> bool:
    known = BY_NAME.get(provider)
    return known is not None and known.free


def _guess_mode(name: str) -> Mode:
    return "embedding" if EMBEDDING_NAME.search(name) else "chat"


@lru_cache(maxsize=256)
def _close_matches(name: str, known: tuple[str, ...]) -> list[str]:
    """Cached, because a bulk of thousands of lines repeats one typing error."""
    return get_close_matches(name, known, n=3)
