"""The heartbeat of a worker: it lives, is forgotten and comes back, drains and signs off."""

from __future__ import annotations

from collections.abc import Callable

from factory.services import Services
from factory.store import hints
from factory.store.database import run
from tests.integration.pipeline.bench import Bench, until
from tests.integration.store.samples import ask, tell


def _slots(services: Services) -> int:
    with services.database.transaction() as tx:
        return sum(hints.look(tx, 15.0).workers.get("openai.normal", {}))


def _becomes(bench: Bench, true: Callable[[], object]) -> None:
    bench.run(until(true))


def test_a_worker_that_beats_is_live(bench: Bench) -> None:
    bench.worker()
    assert _slots(bench.services) == 100
    # In one transaction: the next beat waits for its end.
    with bench.services.database.transaction() as tx:
        run(tx, "UPDATE workers SET heartbeat_at = now() - interval '60 seconds'")
        assert sum(hints.look(tx, 15.0).workers.get("openai.normal", {})) == 0
    _becomes(bench, lambda: _slots(bench.services) == 100)


def test_a_worker_that_was_forgotten_registers_again(bench: Bench) -> None:
    bench.worker()
    tell(bench.services, "DELETE FROM workers")
    _becomes(bench, lambda: _slots(bench.services) == 100)


def test_a_draining_worker_is_offered_nothing(bench: Bench) -> None:
    worker = bench.worker()
    worker.draining = True
    _becomes(bench, lambda: _slots(bench.services) == 0)


def test_a_worker_signs_off_at_its_end(bench: Bench) -> None:
    bench.worker()
    bench.close()
    [row] = ask(bench.services, "SELECT stopped_at FROM workers")
    assert row.stopped_at is not None


def test_a_worker_that_beats_was_marked_dead_by_mistake(bench: Bench) -> None:
    bench.worker()
    tell(bench.services, "UPDATE workers SET stopped_at = now()")
    _becomes(bench, lambda: _slots(bench.services) == 100)
