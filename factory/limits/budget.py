"""A job's own limit on its cost, checked before each call."""

from __future__ import annotations

from factory.domain.money import Price, Usage, cost_micros
from factory.errors import BudgetExceeded

CHARACTERS_PER_TOKEN = 4
"""A usual ratio for English; an estimate only decides whether a call starts, never what is recorded."""


def check_budget(
    limit_micros: int | None,
    spent_micros: int,
    price: Price | None,
    *,
    input_characters: int,
    max_output_tokens: int | None,
) -> None:
    """Raises BudgetExceeded when the call could take the job over its limit.

    Without a bound on the output only the input counts; a limit on an unknown price lets no call through.
    """
    if limit_micros is None:
        return
    likely = Usage(input_characters // CHARACTERS_PER_TOKEN, max_output_tokens or 0)
    cost = cost_micros(likely, price)
    if cost is None or spent_micros + cost > limit_micros:
        raise BudgetExceeded(
            f"this call could cost {_dollars(cost)} on top of {_dollars(spent_micros)} spent, "
            f"more than max_cost_usd {_dollars(limit_micros)}"
        )


def _dollars(micros: int | None) -> str:
    return "an unknown amount" if micros is None else f"${micros / 1_000_000:.6f}"
