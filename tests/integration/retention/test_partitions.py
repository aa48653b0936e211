"""Partitions: there before their time begins, dropped when it is over, whoever makes and drops them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from factory.domain.period import Period, Span
from factory.errors import Unavailable
from factory.services import Services
from factory.store import archive, partitions
from factory.store.partitions import CALLS, CONTENTS, FAMILIES, JOBS, Family
from tests.integration.retention.past import (
    DAY,
    count,
    find,
    given_ended,
    move,
    places,
    retain,
    set_ended,
)
from tests.integration.store.samples import ask, view

LONG_AGO = datetime(2020, 2, 29, 12, tzinfo=UTC)


def _names(services: Services, family: Family) -> list[str]:
    found = ask(
        services,
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = to_regclass(%(table)s) ORDER BY 1",
        table=family.table,
    )
    return [row.name for row in found]


def _table_of(services: Services, family: Family, key: str, row_id: UUID) -> str:
    [row] = ask(
        services,
        f"SELECT tableoid::regclass::text AS name FROM {family.table} WHERE {key} = %(id)s",
        id=str(row_id),
    )
    return str(row.name)


def _month(months_from_now: int) -> Span:
    start = Period.MONTH.shift(Period.MONTH.start(datetime.now(UTC)), months_from_now)
    [span] = Period.MONTH.spans(start, start)
    return span


def _make(services: Services, family: Family, span: Span) -> bool:
    with services.database.transaction() as tx:
        archive.be_brief(tx)
        return partitions.make(tx, family, span)


@pytest.mark.parametrize("family", [JOBS, CALLS])
def test_months_are_there_before_they_begin(services: Services, family: Family) -> None:
    retain(services)
    assert _names(services, family) == sorted(
        f"{family.table}_{label}"
        for label in ["default", *(_month(ahead).label for ahead in range(4))]
    )


def test_days_are_there_before_they_begin(services: Services) -> None:
    retain(services)
    days = [datetime.now(UTC) + ahead * DAY for ahead in range(8)]
    assert {f"job_contents_{day:%Y_%m_%d}" for day in days} <= set(_names(services, CONTENTS))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_partition_has_its_tables_indexes(services: Services, family: Family) -> None:
    retain(services)
    counts = ask(
        services,
        "SELECT count(x.indexrelid) AS indexes FROM pg_inherits i"
        " LEFT JOIN pg_index x ON x.indrelid = i.inhrelid AND x.indisvalid"
        " WHERE i.inhparent = to_regclass(%(table)s) OR i.inhrelid = to_regclass(%(table)s)"
        " GROUP BY i.inhrelid",
        table=family.table,
    )
    assert len({row.indexes for row in counts}) == 1
    assert counts[0].indexes >= 1


@pytest.mark.parametrize(
    ("family", "key", "boundary"),
    [
        (JOBS, "id", Period.MONTH.shift(Period.MONTH.start(datetime.now(UTC)), -1)),
        (CONTENTS, "job_id", Period.DAY.start(datetime.now(UTC) - DAY)),
    ],
)
def test_the_last_moment_of_a_period_and_the_first_of_the_next_are_apart(
    services: Services, family: Family, key: str, boundary: datetime
) -> None:
    last_moment = boundary - timedelta(microseconds=1)
    before, after = given_ended(services), given_ended(services)
    set_ended(services, before, last_moment)
    set_ended(services, after, boundary)
    retain(services)
    assert _table_of(services, family, key, before) == _name(family, last_moment)
    assert _table_of(services, family, key, after) == _name(family, boundary)


def _name(family: Family, when: datetime) -> str:
    return f"{family.table}_{when.strftime(family.period.value)}"


def test_the_past_has_its_own_partitions(services: Services) -> None:
    """An upgrade finds months of history among the live jobs."""
    job_id, ended = given_ended(services), datetime.now(UTC) - 100 * DAY
    set_ended(services, job_id, ended)
    retain(services)
    assert _table_of(services, JOBS, "id", job_id) == f"jobs_archive_{ended:%Y_%m}"
    assert _names(services, JOBS)[0] == f"jobs_archive_{ended:%Y_%m}"


def test_what_comes_without_a_partition_lands_in_the_default_one(services: Services) -> None:
    job_id = given_ended(services)
    move(services)
    assert _table_of(services, JOBS, "id", job_id) == "jobs_archive_default"
    assert find(services, job_id)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_partition_takes_over_what_came_before_it(services: Services, family: Family) -> None:
    then = datetime.now(UTC) - timedelta(hours=2)  # yesterday, in the first hours of a day
    set_ended(services, given_ended(services), then)
    move(services)
    assert count(services, f"{family.table}_default") == 1
    [span] = family.period.spans(then, then)
    assert _make(services, family, span)
    assert count(services, f"{family.table}_default") == 0
    assert count(services, family.table) == 1


def test_old_partitions_are_dropped_and_young_ones_stay(services: Services) -> None:
    old, last = _month(-14), _month(-13)
    for family in (JOBS, CALLS):
        assert _make(services, family, old)
        assert _make(services, family, last)
    job_id = given_ended(services)
    set_ended(services, job_id, old.start + DAY)
    move(services)
    retain(services)
    for family in (JOBS, CALLS):
        assert f"{family.table}_{old.label}" not in _names(services, family)
        assert f"{family.table}_{last.label}" in _names(services, family)
    assert find(services, job_id) is None
    assert count(services, "llm_calls_archive") == 0


def test_what_is_too_old_for_a_partition_goes_row_by_row(services: Services) -> None:
    job_id = given_ended(services)
    set_ended(services, job_id, LONG_AGO)
    retain(services)
    assert places(services, job_id) == []
    for family in FAMILIES:
        assert count(services, family.table) == 0


def test_a_second_round_makes_and_drops_nothing(services: Services) -> None:
    retain(services)
    before = [_names(services, family) for family in FAMILIES]
    retain(services)
    assert [_names(services, family) for family in FAMILIES] == before


def test_two_dispatchers_make_one_set_of_partitions(services: Services) -> None:
    given_ended(services)
    rounds = [threading.Thread(target=_round, args=(services,)) for _ in range(3)]
    for one in rounds:
        one.start()
    for one in rounds:
        one.join()
    made = [_names(services, family) for family in FAMILIES]
    retain(services)
    assert [_names(services, family) for family in FAMILIES] == made
    assert count(services, "jobs_archive") == 1


def _round(services: Services) -> None:
    """As a dispatcher does: what could not be done now is done in the next round."""
    for _ in range(20):
        try:
            return retain(services)
        except Unavailable:
            continue
    raise TimeoutError("20 rounds failed")


def test_a_reader_delays_a_drop_and_the_drop_delays_nobody(services: Services) -> None:
    retain(services)
    old = _month(-14)
    _make(services, JOBS, old)
    job_id = given_ended(services)
    with services.database.transaction() as tx:
        tx.exec_driver_sql("SELECT FROM jobs_archive")
        with pytest.raises(Unavailable):
            retain(services)
        assert places(services, job_id) == ["jobs_archive"]
    assert f"jobs_archive_{old.label}" in _names(services, JOBS)
    retain(services)
    assert f"jobs_archive_{old.label}" not in _names(services, JOBS)
    assert view(services, job_id)
