"""What a claim pays for the look whether jobs are held after a restore: the claim, and the same without the look.

The two take turns in blocks on one connection, each claim in a transaction that is rolled back, so that both always
take the same jobs. What counts is the CPU of Postgres' process, by the kernel's nanoseconds: other work on the machine
does not. The look is made once in a statement, however many jobs it takes, so a set of one shows it best.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import history
from benchmarks.figures import Figure, at_most
from benchmarks.flatness import SET, database
from benchmarks.stand import Scale, running_stand
from factory.domain.job import new_id
from factory.domain.quarantine import QUARANTINE_DEATHS
from factory.services import Services
from factory.store.database import Tx, array, rows, run
from factory.store.moves import CLAIM
from factory.store.prepared import prepared_form
from factory.store.restores import HELD

WITH, WITHOUT = CLAIM, CLAIM.replace(f" AND NOT {HELD}", "")
JOBS = 1_500
DUE = "SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT %(limit)s"
BLOCK = 50
MOST_US = 10.0
Pair = tuple[float, float]
"""Microseconds of a claim with and without the check."""


def figures(scale: Scale) -> Iterator[Figure]:
    """A goal for the look alone."""
    blocks = 20 if scale.quick else 80
    assert WITH != WITHOUT
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
        ExitStack() as stack,
    ):
        services = database(stand, "claim", stack)
        history.fill(services, JOBS, JOBS)
        for count in (SET, 1):
            pairs = _measure(services, count, blocks)
            ours_us, peer_us = (median(taken) for taken in zip(*pairs, strict=True))
            note = f"CPU of Postgres, a set of {count}"
            named = "the same without the look"
            yield Figure(f"claim_{count}", ours_us, "us", None, peer_us, named, note)
    look_us = median(ours - peer for ours, peer in pairs)
    note = "CPU of a claim's look for a restore: median of the differences"
    yield Figure("claim_look", look_us, "us", at_most(MOST_US), note=note)


def _measure(services: Services, count: int, blocks: int) -> list[Pair]:
    """Which of the two comes first changes with each pair."""
    with services.database.engine.connect() as tx:
        params = _params(tx, count)
        for statement in (WITH, WITHOUT):
            _block_us(tx, statement, params)
        pairs = []
        for turn in range(blocks):
            order = (WITH, WITHOUT) if turn % 2 else (WITHOUT, WITH)
            taken_us = {one: _block_us(tx, one, params) for one in order}
            pairs.append((taken_us[WITH], taken_us[WITHOUT]))
    return pairs


def _params(tx: Tx, count: int) -> dict[str, Any]:
    """Also prepares both statements."""
    with tx.begin():
        job_ids = [row.id for row in rows(tx, DUE, {"limit": count})]
        run(tx, "DEALLOCATE ALL")
        for statement in (WITH, WITHOUT):
            run(tx, prepared_form("claim", statement).prepare)
    return {
        "ids": array(job_ids),
        "call_ids": array(()),
        "worker_id": str(new_id()),
        "quarantine": False,
        "quarantine_deaths": QUARANTINE_DEATHS,
    }


def _block_us(tx: Tx, statement: str, params: dict[str, Any]) -> float:
    """CPU of a claim, with the begin and the end of its transaction."""
    execute = prepared_form("claim", statement).execute
    before = _cpu_us(tx)
    for _ in range(BLOCK):
        transaction = tx.begin()
        assert rows(tx, execute, params)
        transaction.rollback()
    return (_cpu_us(tx) - before) / BLOCK


def _cpu_us(tx: Tx) -> float:
    """What the process behind the connection has used. https://docs.kernel.org/scheduler/sched-stats.html"""
    driver: Any = tx.connection.dbapi_connection
    schedstat = Path("/proc", str(driver.info.backend_pid), "schedstat")
    return int(schedstat.read_text().split()[0]) / 1000
