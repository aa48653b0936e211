"""Money in integer micro-dollars, from token counts and prices. An unknown price stays unknown."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

MICROS = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call or of a whole job. `cached_tokens` is a part of `input_tokens`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token."""

    input_usd: Decimal
    output_usd: Decimal
    cached_usd: Decimal


FREE = Price(Decimal(0), Decimal(0), Decimal(0))


def cost_micros(usage: Usage, price: Price | None) -> int | None:
    """Micro-dollars, rounded half up; None when the price is not known."""
    if price is None:
        return None
    dollars = (
        (usage.input_tokens - usage.cached_tokens) * price.input_usd
        + usage.cached_tokens * price.cached_usd
        + usage.output_tokens * price.output_usd
    )
    return int((dollars * MICROS).to_integral_value(ROUND_HALF_UP))


def micros_from_usd(dollars: Decimal) -> int:
    """A caller's limit in micro-dollars, rounded up."""
    return int((dollars * MICROS).to_integral_value(ROUND_CEILING))


def usd_from_micros(micros: int | None) -> float | None:
    """Micro-dollars as dollars for people and JSON; None stays None."""
    return None if micros is None else micros / 1_000_000
