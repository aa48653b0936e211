"""A job's limit on its cost: how long an answer it buys, checked before each call."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from factory.domain.money import FREE, Price, Usage, cost_micros
from factory.errors import BudgetExceeded
from factory.limits.budget import Budget, CallSize, most_tokens

DEAR = Price(Decimal("0.00001"), Decimal("0.00002"), Decimal("0.000001"))
"""10 micro-dollars per input token, 20 per output token."""
TIERED = Price(
    Decimal("0.000001"),
    Decimal("0.000002"),
    Decimal(0),
    long_inputs=((9, DEAR),),
)


def _bound(
    limit: int | None,
    spent: int = 0,
    price: Price | None = DEAR,
    asked: int | None = 30,
    longest: int | None = None,
    unknown: Sequence[Price | None] = (),
) -> int | None:
    """For an input of 10 tokens, 100 micro-dollars."""
    budget = Budget(limit, spent, CallSize(10, asked))
    for one in unknown:
        budget.write_off(one, longest)
    return budget.output_tokens(price, longest)


def test_money_for_the_whole_answer_leaves_it_as_it_was_asked_for() -> None:
    assert _bound(700) == 30


def test_an_answer_gets_as_long_as_the_rest_of_the_money_buys() -> None:
    assert _bound(699) == 29
    assert _bound(699, spent=100) == 24
    assert _bound(10_000, asked=None) == 495


def test_it_gets_no_longer_than_the_model_can_make_it() -> None:
    assert _bound(10**9, asked=None, longest=4096) == 4096
    assert _bound(10**9, asked=5000, longest=4096) == 4096


def test_less_than_sixteen_tokens_are_refused() -> None:
    assert _bound(420) == 16
    with pytest.raises(BudgetExceeded, match=r"\$0\.000419 is left.*16 tokens of output.*\$0\.000420"):  # fmt: skip
        _bound(419)


def test_who_asks_for_fewer_than_sixteen_gets_them() -> None:
    assert _bound(160, asked=3) == 3
    with pytest.raises(BudgetExceeded, match="3 tokens of output"):
        _bound(159, asked=3)


def test_an_input_that_costs_more_than_is_left_is_refused() -> None:
    with pytest.raises(BudgetExceeded):
        _bound(99)
    with pytest.raises(BudgetExceeded):
        _bound(100, spent=500)


def test_an_embedding_has_no_output_to_pay_for() -> None:
    assert _bound(100, asked=0) == 0
    with pytest.raises(BudgetExceeded):
        _bound(99, asked=0)


def test_a_call_of_which_nobody_knows_counts_as_what_it_could_have_cost() -> None:
    assert _bound(1450, spent=50, unknown=[DEAR]) == 30
    assert _bound(1449, spent=50, unknown=[DEAR]) == 29


def test_without_a_bound_an_unknown_call_may_have_taken_all_that_was_left() -> None:
    with pytest.raises(BudgetExceeded):
        _bound(10**6, asked=None, unknown=[DEAR])
    assert _bound(10**6, asked=None, longest=100, unknown=[DEAR]) == 100


def test_two_unknown_calls_cannot_have_taken_more_than_there_was() -> None:
    with pytest.raises(BudgetExceeded, match=r"\$0\.000000 is left of max_cost_usd \$0\.001000"):
        _bound(1000, unknown=[DEAR, DEAR])


def test_an_unknown_call_at_an_unknown_price_lets_no_other_through() -> None:
    with pytest.raises(BudgetExceeded, match="price of a call is not known"):
        _bound(10**9, unknown=[None, DEAR])


def test_a_limit_on_an_unknown_price_lets_no_call_through() -> None:
    with pytest.raises(BudgetExceeded, match="price of a call is not known"):
        _bound(10**9, price=None)


def test_without_a_limit_everything_goes() -> None:
    assert _bound(None, spent=10**9, price=None, unknown=[None]) == 30
    assert _bound(None, asked=None, longest=100) is None


def test_what_is_free_fits_every_limit() -> None:
    assert _bound(0, price=FREE) == 30
    assert _bound(0, price=FREE, asked=None) is None


def test_a_long_input_is_reckoned_at_its_own_price() -> None:
    assert _bound(699, price=TIERED) == 29


@pytest.mark.parametrize("limit", [420, 421, 433, 999, 12_345, 1_000_001])
def test_the_longest_answer_never_costs_more_than_the_limit(limit: int) -> None:
    bound = _bound(limit, asked=None)
    assert bound is not None
    cost, more = (cost_micros(Usage(10, tokens), DEAR) for tokens in (bound, bound + 1))
    assert cost is not None
    assert more is not None
    assert cost <= limit < more


@pytest.mark.parametrize(
    ("text", "least"), [("plain", 5), ("人工", 6), ("🙂", 4), ("\ud800", 3), ("", 0)]
)
def test_no_text_counts_for_less_than_its_bytes(text: str, least: int) -> None:
    assert most_tokens(text) == least
