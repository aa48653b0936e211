"""Counters: every amount counts once, whoever compacts meanwhile."""

from __future__ import annotations

import threading

from factory.metrics import Delta, delta
from factory.services import Services
from factory.store import counters
from tests.integration.store.samples import ask


def _totals(services: Services) -> dict[tuple[str, str], float]:
    with services.database.transaction() as tx:
        return {(one.metric, dict(one.labels)["lane"]): one.amount for one in counters.totals(tx)}


def _add(services: Services, *deltas: Delta) -> None:
    with services.database.transaction() as tx:
        counters.add(tx, deltas)


def test_amounts_add_up_by_metric_and_labels(services: Services) -> None:
    _add(services, delta("jobs", lane="a"), delta("jobs", 2.0, lane="b"))
    _add(services, delta("jobs", lane="a"), delta("dollars", 0.5, lane="a"))
    assert _totals(services) == {("jobs", "a"): 2, ("jobs", "b"): 2, ("dollars", "a"): 0.5}


def test_what_is_not_committed_does_not_count(services: Services) -> None:
    with services.database.transaction() as tx:
        counters.add(tx, [delta("jobs", lane="a")])
        tx.rollback()
    assert _totals(services) == {}


def test_compacting_keeps_the_totals_and_leaves_a_row_a_counter(services: Services) -> None:
    _add(services, *(delta("jobs", lane=lane) for lane in "ab" for _ in range(1500)))
    before = _totals(services)
    with services.database.transaction() as tx:
        counters.compact(tx)
    assert _totals(services) == before == {("jobs", "a"): 1500, ("jobs", "b"): 1500}
    assert len(ask(services, "SELECT FROM counters")) == 2


def test_few_rows_are_left_alone(services: Services) -> None:
    _add(services, *(delta("jobs", lane="a") for _ in range(100)))
    with services.database.transaction() as tx:
        counters.compact(tx)
    assert len(ask(services, "SELECT FROM counters")) == 100


def test_a_reader_sees_every_amount_once_while_two_compact_and_one_adds(
    services: Services,
) -> None:
    _add(services, *(delta("jobs", lane="a") for _ in range(6000)))
    stop = threading.Event()

    def compact() -> None:
        while not stop.is_set():
            with services.database.transaction() as tx:
                tx.exec_driver_sql(counters.COMPACT)

    threads = [threading.Thread(target=compact) for _ in range(2)]
    for thread in threads:
        thread.start()
    for added in range(1, 21):
        _add(services, delta("jobs", lane="a"))
        assert _totals(services) == {("jobs", "a"): 6000 + added}
    stop.set()
    for thread in threads:
        thread.join()
    assert _totals(services) == {("jobs", "a"): 6020}
