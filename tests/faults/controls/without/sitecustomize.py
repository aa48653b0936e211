"""Takes one guard away from every program that starts with this directory on PYTHONPATH.

Python imports a module of this name at its start. Production code has no switch for its guards: a
harness that cannot fail proves nothing, and a switch could be left on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import MappingProxyType

import factory.domain.slots
import factory.domain.turns
import factory.embedded.postgres
import factory.pipeline.dispatch.publish
import factory.pipeline.upkeep.reaper
import factory.store.lost_hints
import factory.store.moves
import factory.store.successes
import factory.store.waits
from factory.domain.lanes import group_of
from factory.limits.window import Window
from factory.pipeline.dispatch.publish import Round

LEASE_TOKEN = " AND j.lease_token = g.lease_token"


def _without_lease_token() -> None:
    """Whoever ran a job once may end it, also while another runs it."""
    for ends in (factory.store.moves, factory.store.successes):
        assert LEASE_TOKEN in ends.FINISH
        ends.FINISH = ends.FINISH.replace(LEASE_TOKEN, "")  # type: ignore[attr-defined]


def _without_republish() -> None:
    """A hint is believed to arrive."""
    assert "LIMIT 1000" in factory.store.lost_hints.LOST
    factory.store.lost_hints.LOST = factory.store.lost_hints.LOST.replace("LIMIT 1000", "LIMIT 0")


def _without_hold() -> None:
    """The reaper believes every lease that looks expired."""
    assert hasattr(factory.pipeline.upkeep.reaper.Reaper, "_holds")
    factory.pipeline.upkeep.reaper.Reaper._holds = lambda *_: False  # type: ignore[method-assign]


def _without_reserve() -> None:
    """All slots are everybody's, and nobody's."""
    factory.domain.slots.reserve = lambda _slots: 0
    factory.domain.slots.lendable = lambda slots: slots


def _without_turns() -> None:
    """The most urgent lane of each provider is served as long as it has anything."""
    dispatch, turns = factory.pipeline.dispatch.publish, factory.domain.turns.Turns
    publish = dispatch._publish_jobs

    def publish_most_urgent(this: Round, found: Sequence[Window]) -> int:
        groups = {group_of(one.lane): one for one in reversed(found)}
        return publish(this, list(groups.values()))

    dispatch._publish_jobs = publish_most_urgent
    turns.ahead = lambda *_: 0.0  # type: ignore[method-assign]
    turns.debts = lambda _: {}  # type: ignore[method-assign]


def _without_row_lock() -> None:
    """Who moves a job, and who wakes it, look without a lock."""
    assert "FOR UPDATE" in factory.store.waits.LOCK
    factory.store.waits.LOCK = ""
    factory.store.waits.FAMILIES = "SELECT CAST(%(ids)s AS uuid[])"


def _without_kept_slots() -> None:
    """A project may have all that a provider's workers can hold."""
    factory.domain.slots.kept_free = lambda _capacity: 0


def _without_clearing_locks() -> None:
    """Postgres' own locks are believed after a crash."""
    assert hasattr(factory.embedded.postgres.EmbeddedPostgres, "_clear_stale_locks")
    factory.embedded.postgres.EmbeddedPostgres._clear_stale_locks = lambda *_: None  # type: ignore[method-assign]


def _without_synchronous_commit() -> None:
    """A 2xx does not wait until its commit is written."""
    careless = {
        "synchronous_commit": "off",
        "wal_writer_delay": "10s",
        "wal_writer_flush_after": "1GB",
        "bgwriter_lru_maxpages": "0",  # a page that it writes takes the commits before it along
    }
    postgres = factory.embedded.postgres
    postgres.SETTINGS = MappingProxyType({**postgres.SETTINGS, **careless})


def _without_loop_watch() -> None:
    """All work is done on the loop, and nobody looks whether it stands still."""
    if not {"workers.worker", "workers.quarantine"}.intersection(sys.orig_argv):
        return
    # Only here: others do not pay for LiteLLM.
    import factory.llm.check
    import factory.llm.translation
    import workers.blockage

    factory.llm.check.is_quick = lambda *_: True
    factory.llm.translation.is_quick = lambda *_: True
    workers.blockage.LoopWatch.start = lambda _watch: None  # type: ignore[method-assign]
    workers.blockage.LoopWatch.stop = lambda _watch: None  # type: ignore[method-assign]


{
    "lease_token": _without_lease_token,
    "republish": _without_republish,
    "hold": _without_hold,
    "loop_watch": _without_loop_watch,
    "reserve": _without_reserve,
    "turns": _without_turns,
    "kept_slots": _without_kept_slots,
    "row_lock": _without_row_lock,
    "clearing_locks": _without_clearing_locks,
    "synchronous_commit": _without_synchronous_commit,
}[os.environ["FAULTS_WITHOUT"]]()
