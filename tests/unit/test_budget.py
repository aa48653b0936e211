"""A job's limit on its cost, checked before each call."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from factory.domain.money import FREE, Price
from factory.errors import BudgetExceeded
from factory.limits.budget import Budget, CallSize

DEAR = Price(Decimal("0.00001"), Decimal("0.00002"), Decimal("0.000001"))
"""10 micro-dollars per input token, 20 per output token."""


def _check(
    limit: int | None,
    spent: int = 0,
    price: Price | None = DEAR,
    most: int | None = 10,
    unknown: Sequence[Price | None] = (),
) -> None:
    budget = Budget(limit, spent, CallSize(40, most))
    for one in unknown:
        budget.write_off(one)
    budget.check(price)


def test_a_call_within_the_limit_is_let_through() -> None:
    _check(300)


def test_a_call_that_could_cost_more_is_not() -> None:
    with pytest.raises(BudgetExceeded, match=r"\$0\.000300.*\$0\.000299"):
        _check(299)


def test_what_was_spent_counts() -> None:
    _check(350, spent=50)
    with pytest.raises(BudgetExceeded):
        _check(350, spent=51)


def test_a_call_of_which_nobody_knows_counts_as_what_it_could_have_cost() -> None:
    _check(650, spent=50, unknown=[DEAR])
    with pytest.raises(BudgetExceeded, match=r"\$0\.000300.*\$0\.000350 spent.*\$0\.000649"):
        _check(649, spent=50, unknown=[DEAR])


def test_an_unknown_call_at_an_unknown_price_lets_no_other_through() -> None:
    with pytest.raises(BudgetExceeded, match="an unknown amount spent"):
        _check(10**9, unknown=[None, DEAR])


def test_without_a_bound_on_the_output_only_the_input_counts() -> None:
    _check(100, most=None)
    with pytest.raises(BudgetExceeded):
        _check(99, most=None)


def test_a_limit_on_an_unknown_price_lets_no_call_through() -> None:
    with pytest.raises(BudgetExceeded, match="an unknown amount"):
        _check(10**9, price=None)


def test_without_a_limit_everything_goes() -> None:
    _check(None, spent=10**9, price=None, unknown=[None])


def test_what_is_free_fits_every_limit() -> None:
    _check(0, price=FREE)
