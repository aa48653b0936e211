"""A kind of job that only tests have: it has children, waits for them, waits for a time, and is done.

Its attempts may end anywhere. What it has done is in its steps, so each part is done once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from factory.calls.gate import Result
from factory.calls.journal import record_steps
from factory.domain.job import ClaimedJob, Kind, NewJob, new_id
from factory.domain.lanes import Priority
from factory.domain.waiting import WaitFor
from factory.errors import LeaseLost
from factory.kinds import runners
from factory.kinds.means import Means
from factory.kinds.runners import Runner
from factory.store import jobs, journal, moves
from factory.store.archive import EVERY_JOB
from factory.store.database import Tx, ids, rows
from factory.store.journal import Step

NAME = "family"
BORN, RESTED = "born", "rested"
BEGIN_S = 5.0
"""How long a parent that works on looks for the begin of its children."""
MODEL = "openai/gpt-4o-mini"
ALLOWED = "ALTER TABLE jobs DROP CONSTRAINT IF EXISTS ck_jobs_kind"
"""For the database of a test: released tables know the kinds of a release."""


def _new_kind() -> Kind:
    kind = str.__new__(Kind, NAME)
    kind._name_, kind._value_ = NAME.upper(), NAME
    return kind


KIND = _new_kind()


def new_family(
    project_id: UUID, *, children_ms: Sequence[int], pause_s: float = 0.0, rest_s: float = 0.0
) -> NewJob:
    """A parent whose children take so long; it is at work for `pause_s` after their begin, and rests after their end."""
    return NewJob(
        id=new_id(),
        project_id=project_id,
        kind=KIND,
        provider="openai",
        priority=Priority.NORMAL,
        input={"children_ms": list(children_ms), "pause_s": pause_s, "rest_s": rest_s},
        max_attempts=20,
    )


def _new_child(parent: ClaimedJob, latency_ms: int) -> NewJob:
    words = f"{{{{simulate latency_ms={latency_ms}}}}} Why?"
    return NewJob(
        id=new_id(),
        project_id=parent.project_id,
        kind=Kind.COMPLETION,
        provider="openai",
        priority=Priority.NORMAL,
        input={"messages": [{"role": "user", "content": words}]},
        model=MODEL,
        max_attempts=20,
        parent_id=parent.id,
    )


async def run(means: Means, job: ClaimedJob) -> Result | WaitFor:
    """A wait, or what has become of the children."""
    if BORN not in job.steps:
        birth = Birth(job, tuple(_new_child(job, one) for one in job.input["children_ms"]))
        if not await means.committer.commit(bear, birth):
            raise LeaseLost("the lease ran out before the children were born")
        born = [one.id for one in birth.children]
        await _until_begun(means, job, born)
        await asyncio.sleep(job.input["pause_s"])
        return WaitFor.children(born)
    children = [UUID(one) for one in job.steps[BORN]]
    ended = await means.reader.read(job.project_id, lambda tx: jobs.ended(tx, children))
    if len(ended) < len(children):
        return WaitFor.children()
    if RESTED not in job.steps:
        await means.committer.commit(record_steps, Step(job.id, RESTED, {}))
        return WaitFor.time(job.input["rest_s"])
    return Result({"children": len(ended)})


async def _until_begun(means: Means, job: ClaimedJob, children: Sequence[UUID]) -> None:
    """Until the children have begun, if the parent has anything to do meanwhile."""
    deadline = time.monotonic() + (BEGIN_S if job.input["pause_s"] else 0.0)
    while time.monotonic() < deadline:
        found = await means.reader.read(
            job.project_id, lambda tx: rows(tx, BEGUN, {"ids": ids(children)})
        )
        if found[0].all:
            return
        await asyncio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Birth:
    """A parent, as it is held, and its children."""

    parent: ClaimedJob
    children: Sequence[NewJob]


BEGUN = f"SELECT bool_and(started_at IS NOT NULL) AS all FROM {EVERY_JOB} j WHERE id = ANY(CAST(%(ids)s AS uuid[]))"
HELD = """
SELECT j.id FROM jobs j
  JOIN unnest(CAST(%(ids)s AS uuid[]), CAST(%(tokens)s AS bigint[])) AS g(id, token)
    ON j.id = g.id AND j.state = 'running' AND j.lease_token = g.token
 ORDER BY j.id FOR UPDATE OF j
"""
BORN_BEFORE = (
    "SELECT job_id FROM job_steps WHERE job_id = ANY(CAST(%(ids)s AS uuid[])) AND step_key = 'born'"
)


def bear(tx: Tx, births: list[Birth]) -> Sequence[bool]:
    """Batch statement: children and the step that says so; False where the lease was stale. Bears being repeated."""
    parents = {one.parent.id: one.parent.lease_token for one in births}
    params: dict[str, Any] = {"ids": ids(parents), "tokens": list(parents.values())}
    held = {row.id for row in rows(tx, HELD, params)}
    before = {row.job_id for row in rows(tx, BORN_BEFORE, params)}
    new = [one for one in births if one.parent.id in held - before]
    jobs.insert(tx, [child for one in new for child in one.children])
    if new:
        journal.record_steps(
            tx, [Step(one.parent.id, BORN, ids(child.id for child in one.children)) for one in new]
        )
    return [one.parent.id in held for one in births]


def add() -> None:
    """Makes the kind known to this process."""
    Kind._member_map_[NAME.upper()] = Kind._value2member_map_[NAME] = KIND
    Kind._member_names_.append(NAME.upper())
    moves.CLAIM = moves.CLAIM.replace(moves.KINDS, f"{moves.KINDS}, '{NAME}'")
    runners.RUNNERS[KIND] = Runner(run)  # type: ignore[index]


def remove() -> None:
    """Makes it unknown again."""
    del Kind._member_map_[NAME.upper()], Kind._value2member_map_[NAME]
    Kind._member_names_.remove(NAME.upper())
    moves.CLAIM = moves.CLAIM.replace(f"{moves.KINDS}, '{NAME}'", moves.KINDS)
    del runners.RUNNERS[KIND]  # type: ignore[attr-defined]


@contextmanager
def known() -> Iterator[None]:
    """Meanwhile this process knows the kind."""
    add()
    try:
        yield
    finally:
        remove()
