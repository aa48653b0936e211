"""Parents that wait for children and then for a time, while workers are killed.

Between two kills families meet: their children end about when they go to wait.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2

from factory.config import libpq_url
from factory.domain.job import NewJob, public_id
from factory.store import jobs
from factory.store.archive import EVERY_INPUT, EVERY_JOB
from factory.store.database import Database
from tests import family
from tests.acceptance.image import ROOT
from tests.acceptance.stack import eventually
from tests.faults.client import Accepted
from tests.faults.scene import LONG_S, Found, Scene
from tests.faults.witness import begun_calls

VARIABLES = {
    "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent / "waiting"), str(ROOT))),
}
KILLS, FAMILIES = 3, 20
"""Kills, and families that come before each and after the last."""
CHILD_MS, REST_S = 400, 1.0
OWN_S = 5.0
"""What a family takes by itself: its children, its rest, and the dispatchers' looks at what is due."""
PROJECT = "SELECT project_id FROM api_keys LIMIT 1"
WAITING = "SELECT count(*) FROM jobs WHERE kind = 'family' AND state = 'waiting'"
FOUND = f"""
SELECT p.id::text, p.attempt, p.deaths, jsonb_array_length(i.input -> 'children_ms'), count(c.id),
       count(c.id) FILTER (WHERE c.state = 'succeeded'), p.finished_at >= max(c.finished_at)
  FROM {EVERY_JOB} p JOIN {EVERY_INPUT} i ON i.job_id = p.id LEFT JOIN {EVERY_JOB} c ON c.parent_id = p.id
 WHERE p.kind = 'family'
 GROUP BY p.id, p.attempt, p.deaths, p.finished_at, i.input
"""
CHILDREN = f"""
SELECT c.id::text, c.deaths FROM {EVERY_JOB} c JOIN {EVERY_JOB} p ON p.id = c.parent_id WHERE p.kind = 'family'
"""
MISSED = "waited for children that had ended"
"""What a dispatcher says of a parent that nobody woke."""


@contextmanager
def allowed(scene: Scene) -> Iterator[None]:
    """The table takes jobs of the kind."""
    with closing(psycopg2.connect(scene.state().database_url)) as connection, connection:
        connection.cursor().execute(family.ALLOWED)
    yield


def kill_workers(scene: Scene) -> None:
    """Each while parents wait and children run."""
    for _ in range(KILLS):
        _send(scene)
        eventually(lambda: (scene.ask(WAITING) or [(0,)])[0][0], LONG_S)
        pid = scene.running_worker_pid()
        scene.struck()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda gone=pid: gone not in scene.worker_pids(), LONG_S)
        time.sleep(scene.dice.uniform(2.0, 4.0))  # the pace of the kills
    _send(scene)


def _send(scene: Scene) -> None:
    rows = scene.ask(PROJECT)
    assert rows, "Postgres is not there"
    born = [_family(scene, UUID(str(rows[0][0])), number) for number in range(FAMILIES)]
    database = Database(libpq_url(scene.state().database_url), pool_size=1, process="faults")
    with database.transaction() as tx:
        jobs.insert(tx, born)
    database.close()
    at = datetime.now(UTC)
    scene.beforehand += [Accepted(public_id(one.id), at, OWN_S, family.MODEL) for one in born]


def _family(scene: Scene, project_id: UUID, number: int) -> NewJob:
    """One, two or three children that end at once, and about when their parent goes to wait."""
    pause_s = CHILD_MS / 1000 * scene.dice.uniform(0.5, 1.5)
    children_ms = [CHILD_MS] * (1 + number % 3)
    return family.new_family(project_id, children_ms=children_ms, pause_s=pause_s, rest_s=REST_S)


def verify(scene: Scene, accepted: Sequence[Accepted]) -> Found:
    """Each parent has its children once, and ended after them; each was woken by the end that it waited for."""
    families = scene.answer(FOUND)
    calls = begun_calls(scene.stack.home / "simulator.jsonl")
    children = [(f"job_{one.replace('-', '')}", deaths) for one, deaths in scene.answer(CHILDREN)]
    repeated = sum(max(0, len(calls.get(one, ())) - 1 - deaths) for one, deaths in children)
    return Found(
        lost=len(scene.beforehand)
        - len(families)
        + sum(one[3] - min(one[3:6]) for one in families),
        double=repeated + sum(max(0, one[4] - one[3]) for one in families),
        complaints=tuple(_complaints(scene, families)),
    )


def _complaints(scene: Scene, families: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    for parent, attempt, deaths, _wanted, _born, _ended, is_last in families:
        if not is_last:
            yield f"{parent} did not wait for its children"
        if attempt > 1 + deaths:
            yield f"{parent} spent {attempt} attempts on waits, and {deaths} workers died with it"
    missed = scene.stack.log().count(MISSED)
    if missed:
        yield f"{missed} times parents were not woken by the end of their children"
