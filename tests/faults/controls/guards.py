"""The platform with one guard taken away from every program of it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2

from tests.faults.catalog import FAULTS
from tests.faults.judge import Verdict
from tests.faults.runner import QUICK, fresh_stack, run_fault
from tests.faults.scene import Fault, Scene
from tests.faults.strikes import floods, power, upgrade

GIVES_UP_S = 30.0
"""Twice what the guarded platform needs for the same fault."""
Control = Callable[[], tuple[str, Verdict]]
"""Which of the verdict's counts must not be 0 (or which list empty), and the verdict."""


def _control(guard: str | None, name: str, expected: str, fault: Fault) -> tuple[str, Verdict]:
    with without(guard) if guard else nullcontext(), fresh_stack(fault) as stack:
        scene = Scene(stack, random.Random(f"1 {name}"))
        return expected, run_fault(stack, name, fault, QUICK, scene, GIVES_UP_S)


@contextmanager
def without(guard: str) -> Iterator[None]:
    """What starts meanwhile lacks the guard, see `sitecustomize`."""
    place = Path(__file__).parent / "without"
    changed = {"FAULTS_WITHOUT": guard, "PYTHONPATH": str(place)}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _all_written(scene: Scene) -> Iterator[None]:
    """The installation itself is on disk, its API key too: what may be lost are jobs."""
    connection = psycopg2.connect(scene.state().database_url)
    connection.autocommit = True
    connection.cursor().execute("CHECKPOINT")
    connection.close()
    yield


def _guard(guard: str | None, name: str, expected: str, **changes: Any) -> Control:
    return partial(_control, guard, name, expected, replace(FAULTS[name], **changes))


WITHOUT_GUARD: Mapping[str, Control] = {
    # Calls so long that the jobs' new workers are in the middle of theirs when the zombie wakes.
    "without_lease_token": _guard("lease_token", "zombie", "double", latency_s=(5.0, 12.0)),
    "without_republish": _guard("republish", "lost_hints", "lost"),
    "without_clearing_locks": _guard("clearing_locks", "power_loss", "complaints"),
    # Postgres still writes every 10 s: what came just before that is not lost, so it happens more than once.
    "without_synchronous_commit": _guard(
        "synchronous_commit",
        "power_loss",
        "lost",
        strike=partial(power.lose, times=3),
        stage=_all_written,
    ),
    # Not a guard of the code but of its authors: migrations that programs of before can live with.
    "with_a_careless_migration": _guard(
        None,
        "upgrade",
        "complaints",
        strike=partial(upgrade.roll, migration=upgrade.migrate_carelessly),
    ),
    "without_hold": _guard("hold", "workers_wake_last", "mistaken"),
    "without_loop_watch": _guard("loop_watch", "loop_blocked", "lost"),
    "without_reserve": _guard("reserve", "provider_hang", "lost"),
    "without_turns": _guard("turns", "priority_flood", "lost", models=("openai/gpt-4o-mini",)),
    "without_row_lock": _guard("row_lock", "waiting", "complaints"),
    # Not before the last slot is taken: the others' jobs would get those that are left.
    "without_kept_slots": _guard(
        "kept_slots",
        "tenant_flood",
        "lost",
        stage=partial(floods.greedy_tenant, full=floods.ALL),
    ),
}
