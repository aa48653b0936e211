"""A job's own limit on its cost. It bounds each call before it is made, and refuses a call that cannot be bounded."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from factory.domain.money import MICROS, Price, Usage, cost_micros
from factory.errors import BudgetExceeded

LEAST_OUTPUT_TOKENS = 16
"""The shortest answer that is asked for: a shorter one is not worth paying for the input."""


def most_tokens(text: str) -> int:
    """The most tokens that any tokenizer makes of a text: each token covers at least one byte of its UTF-8. English
    has about four bytes a token, but the bound must also hold for code, digits and rare characters: measured, up to
    0.8 tokens a byte for Chinese and emoji, 1.0 for letters in alternating case.
    """
    return len(text.encode(errors="surrogatepass"))


@dataclass(frozen=True, slots=True)
class CallSize:
    """How large a call may get, in tokens. `max_output_tokens` None: the job's owner set no bound."""

    input_tokens: int
    max_output_tokens: int | None


class Budget:
    """What a job may still spend on calls of one size. `limit_micros` None: there is no limit."""

    def __init__(self, limit_micros: int | None, spent_micros: int, size: CallSize) -> None:
        self.size = size
        self._limit_micros = limit_micros
        self._spent_micros: int | None = spent_micros

    def write_off(self, price: Price | None, most_output: int | None) -> None:
        """Counts a call of unknown cost as the most that it could have cost. `most_output` is the longest answer of
        its model, in tokens; None if not known. No call costs more than what was left of the limit, because that
        bounded it.
        """
        limit, spent = self._limit_micros, self._spent_micros
        if limit is None or spent is None:
            return
        if price is None:
            self._spent_micros = None
            return
        longest = _smallest(self.size.max_output_tokens, most_output)
        cost = cost_micros(Usage(self.size.input_tokens, longest or 0), price) or 0
        unbounded = longest is None and price.at(self.size.input_tokens).output_usd > 0
        self._spent_micros = max(spent, limit if unbounded else min(limit, spent + cost))

    def needs_bound(self, price: Price | None) -> bool:
        """Whether only a provider that keeps to `output_tokens` keeps the job within its limit."""
        if self._limit_micros is None or price is None:
            return False
        return price.at(self.size.input_tokens).output_usd > 0

    def spend(self, cost_micros: int) -> None:
        """Counts a call whose cost is known."""
        if self._spent_micros is not None:
            self._spent_micros += cost_micros

    def output_tokens(self, price: Price | None, most_output: int | None) -> int | None:
        """The longest answer of the next call, in tokens, that keeps the job within its limit; without a limit, what
        the owner asked for. `most_output` as for `write_off`. Raises BudgetExceeded if what is left does not pay for
        the input and a few tokens, or if the price or earlier spending is unknown.
        """
        asked, limit = self.size.max_output_tokens, self._limit_micros
        if limit is None:
            return asked
        if price is None or self._spent_micros is None:
            raise BudgetExceeded(
                f"max_cost_usd {_dollars(limit)} cannot be kept: the price of a call is not known"
            )
        left = limit - self._spent_micros
        longest = _smallest(asked, most_output)
        bought = _bought_tokens(left, self.size.input_tokens, price)
        least = _smallest(longest, LEAST_OUTPUT_TOKENS)
        if bought is not None and bought < (least or 0):
            raise BudgetExceeded(
                f"{_dollars(left)} is left of max_cost_usd {_dollars(limit)}; an input of up to "
                f"{self.size.input_tokens} tokens and {least} tokens of output could cost "
                f"{_dollars(cost_micros(Usage(self.size.input_tokens, least or 0), price))}"
            )
        return _smallest(longest, bought)


def _bought_tokens(left_micros: int, input_tokens: int, price: Price) -> int | None:
    """Tokens of output that the money pays for after the input; negative if it does not pay for the input, None if
    output is free.
    """
    rate = price.at(input_tokens)
    left_usd = Decimal(left_micros) / MICROS - input_tokens * rate.input_usd
    if left_usd < 0:
        return -1
    return int(left_usd / rate.output_usd) if rate.output_usd > 0 else None


def _smallest(*given: int | None) -> int | None:
    """The smallest of those that are not None."""
    return min((one for one in given if one is not None), default=None)


def _dollars(micros: int | None) -> str:
    return "an unknown amount" if micros is None else f"${micros / 1_000_000:.6f}"
