"""A job's own limit on its cost, checked before each call."""

from __future__ import annotations

from dataclasses import dataclass

from factory.domain.money import Price, Usage, cost_micros
from factory.errors import BudgetExceeded

CHARACTERS_PER_TOKEN = 4
"""A usual ratio for English; an estimate only decides whether a call starts, never what is recorded."""


@dataclass(frozen=True, slots=True)
class CallSize:
    """How large a call may get. Without a bound on the output only the input counts."""

    input_characters: int
    max_output_tokens: int | None

    def could_cost_micros(self, price: Price | None) -> int | None:
        """An estimate; None when the price is not known."""
        tokens = self.input_characters // CHARACTERS_PER_TOKEN
        return cost_micros(Usage(tokens, self.max_output_tokens or 0), price)


class Budget:
    """What a job may still spend on calls of one size."""

    def __init__(self, limit_micros: int | None, spent_micros: int, size: CallSize) -> None:
        self._limit_micros = limit_micros
        self._spent_micros: int | None = spent_micros
        self._size = size

    def write_off(self, price: Price | None) -> None:
        """Counts a call that may have been paid for, nobody knows: as what it could have cost."""
        spent, cost = self._spent_micros, self._size.could_cost_micros(price)
        self._spent_micros = None if spent is None or cost is None else spent + cost

    def check(self, price: Price | None) -> None:
        """Raises BudgetExceeded when the next call could take the job over its limit.

        A limit on an unknown price lets no call through.
        """
        limit, spent = self._limit_micros, self._spent_micros
        if limit is None:
            return
        cost = self._size.could_cost_micros(price)
        if cost is None or spent is None or spent + cost > limit:
            raise BudgetExceeded(
                f"this call could cost {_dollars(cost)} on top of {_dollars(spent)} spent, "
                f"more than max_cost_usd {_dollars(limit)}"
            )


def _dollars(micros: int | None) -> str:
    return "an unknown amount" if micros is None else f"${micros / 1_000_000:.6f}"
