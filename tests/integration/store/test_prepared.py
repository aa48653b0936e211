"""Statements that are planned once a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from factory.errors import Unavailable
from factory.services import Services
from factory.store import prepared
from factory.store.database import Database, Tx, rows
from factory.store.prepared import prepared_form, prepared_rows

SUM = "SELECT CAST(%(a)s AS int) + CAST(%(b)s AS int) + CAST(%(a)s AS int) AS total"
LONG_S = 600.0
"""A busy machine may take more than a second for three statements."""
PLANS = "SELECT name, generic_plans FROM pg_prepared_statements"


@pytest.fixture
def single(services: Services) -> Iterator[Database]:
    """A pool of one connection."""
    database = Database(services.settings.libpq_url, pool_size=1, process="test")
    yield database
    database.close()


def _total(tx: Tx, a: int, b: int) -> int:
    [found] = prepared_rows(tx, "sum", SUM, {"a": a, "b": b})
    return int(found.total)


def test_a_parameter_that_comes_twice_is_one(single: Database) -> None:
    with single.transaction() as tx:
        assert (_total(tx, 1, 10), _total(tx, 2, 20)) == (12, 24)


def test_a_statement_is_planned_once_for_all_transactions_of_a_second(
    single: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "KEPT_S", LONG_S)
    for _ in range(3):
        with single.autocommit() as tx:
            _total(tx, 1, 1)
    with single.autocommit() as tx:
        assert [(row.name, row.generic_plans) for row in rows(tx, PLANS)] == [
            (prepared_form("sum", SUM).name, 3)
        ]


def test_after_a_second_it_is_planned_anew(
    single: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "KEPT_S", 0.0)
    for _ in range(3):
        with single.autocommit() as tx:
            _total(tx, 1, 1)
    with single.autocommit() as tx:
        assert [row.generic_plans for row in rows(tx, PLANS)] == [1]


def test_a_statement_that_failed_is_prepared_again(single: Database) -> None:
    with pytest.raises(Exception, match="invalid input syntax"), single.transaction() as tx:
        prepared_rows(tx, "sum", SUM, {"a": "one", "b": 1})
    with single.transaction() as tx:
        assert _total(tx, 1, 1) == 3


def test_behind_a_pooler_that_forgets_it_fails_in_passing_and_then_does_without(
    single: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "KEPT_S", LONG_S)
    with single.autocommit() as tx:
        _total(tx, 1, 1)
        rows(tx, "DEALLOCATE ALL; SELECT 1")
    with pytest.raises(Unavailable), single.autocommit() as tx:
        _total(tx, 1, 1)
    with single.autocommit() as tx:
        assert _total(tx, 1, 1) == 3
        assert rows(tx, PLANS) == []
