"""What the ends of calls count for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import uuid4

import pytest

from factory import metrics
from factory.calls.journal import deltas
from factory.domain.money import Usage
from factory.metrics import Delta, Labels
from factory.store.journal import CallEnd


def end(
    model: str, cost_micros: int | None = 1500, latency_ms: int = 90, error: str | None = None
) -> CallEnd:
    usage = Usage(input_tokens=7, output_tokens=3)
    ids = (uuid4(), uuid4())
    return CallEnd(
        *ids, "answer", "openai", model, usage, cost_micros, latency_ms, error_type=error
    )


def summed(found: Iterable[Delta]) -> dict[tuple[str, Labels], float]:
    sums: dict[tuple[str, Labels], float] = defaultdict(float)
    for one in found:
        sums[one.metric, one.labels] += one.amount
    return sums


ENDS = [
    end("a"),
    end("a", latency_ms=90_000),
    end("a", cost_micros=None),
    end("a", error="rate_limited", cost_micros=0),
    end("b", cost_micros=None),
    end("b"),
]


def test_a_set_counts_for_as_much_as_each_of_its_ends() -> None:
    assert summed(deltas(ENDS)) == pytest.approx(summed(one for e in ENDS for one in deltas([e])))


def test_a_counter_has_one_amount_however_many_calls_ended_alike() -> None:
    found = deltas([end("a") for _ in range(100)])
    assert len(found) == len({(one.metric, one.labels) for one in found})
    assert [one.amount for one in found if one.metric == metrics.LLM_REQUESTS] == [100]


def test_calls_without_a_known_cost_are_counted_apart() -> None:
    found = {one.metric: one.amount for one in deltas([end("a"), end("a", cost_micros=None)])}
    assert found[metrics.LLM_UNKNOWN_COST] == 1
    assert found[metrics.LLM_COST_MICROS_OF_DAY] == 1500


def test_no_end_counts_for_nothing() -> None:
    assert deltas([]) == []
