"""Money in integer micro-dollars, from token counts and prices. An unknown price stays unknown."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

MICROS = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call or of a whole job.

    `cached_tokens` (read from the provider's prompt cache) and `cache_write_tokens` (written to it)
    are parts of `input_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token. `cache_write_usd` None: writing the cache costs what any input does."""

    input_usd: Decimal
    output_usd: Decimal
    cached_usd: Decimal
    cache_write_usd: Decimal | None = None
    long_inputs: tuple[tuple[int, Price], ...] = ()
    """(n, price): with more than n input tokens the whole call costs that price. Largest n first."""

    def at(self, input_tokens: int) -> Price:
        """The price of a call with so many input tokens."""
        return next((price for above, price in self.long_inputs if input_tokens > above), self)


FREE = Price(Decimal(0), Decimal(0), Decimal(0))


def cost_micros(usage: Usage, price: Price | None) -> int | None:
    """Micro-dollars, rounded half up; None when the price is not known."""
    if price is None:
        return None
    rate = price.at(usage.input_tokens)
    write_usd = rate.input_usd if rate.cache_write_usd is None else rate.cache_write_usd
    dollars = (
        (usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens) * rate.input_usd
        + usage.cached_tokens * rate.cached_usd
        + usage.cache_write_tokens * write_usd
        + usage.output_tokens * rate.output_usd
    )
    return int((dollars * MICROS).to_integral_value(ROUND_HALF_UP))


def micros_from_usd(dollars: Decimal) -> int:
    """A caller's limit in micro-dollars, rounded up."""
    return int((dollars * MICROS).to_integral_value(ROUND_CEILING))


def usd_from_micros(micros: int | None) -> float | None:
    """Micro-dollars as dollars for people and JSON; None stays None."""
    return None if micros is None else micros / 1_000_000
