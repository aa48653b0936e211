"""Who decides what held: the provider's own log, and what Postgres has in the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from factory.domain.job import parse_id
from factory.store.archive import EVERY_CALL, EVERY_JOB, EVERY_RESULT
from tests.faults.client import Accepted
from tests.faults.scene import Expectation, Found, Scene
from tests.faults.witness import begun_calls

JOBS = f"""
SELECT j.id::text, j.state, j.attempt, j.deaths, j.finished_at,
       (SELECT count(*) FROM {EVERY_RESULT} r WHERE r.job_id = j.id) AS results
  FROM {EVERY_JOB} j WHERE j.id = ANY(%s::uuid[])
"""
ENDINGS = f"""
SELECT (SELECT coalesce(sum(amount), 0) FROM counters WHERE metric = 'jobs_finished_total')
     - (SELECT count(*) FROM {EVERY_JOB} j WHERE finished_at IS NOT NULL)
"""
"""Each ending is counted in the transaction that makes it: what is over was ended twice."""
USURPED = f"""
SELECT count(DISTINCT j.id) FROM {EVERY_JOB} j
  JOIN {EVERY_CALL} c ON c.job_id = j.id AND c.started_at >= j.started_at
 WHERE j.id = ANY(%s::uuid[]) AND j.state = 'succeeded'
   AND (c.finished_at IS NULL OR c.finished_at > j.finished_at)
"""
"""A job that has succeeded while a call of its last claim was under way: somebody else has ended it. By time and
not by the number of the attempt: a death in quarantine, or a drain, gives the number back.
"""
PAID_AGAIN = f"""
SELECT count(*) FROM {EVERY_CALL} first
  JOIN {EVERY_CALL} again ON again.job_id = first.job_id AND again.step_key = first.step_key
 WHERE first.job_id = ANY(%s::uuid[]) AND first.status = 'succeeded'
   AND again.started_at > first.finished_at
"""
"""Calls of a step whose answer had been recorded."""


@dataclass(frozen=True)
class Verdict:
    """One fault's line.

    Recovery is the time from a strike to a job's next sign of life, in seconds: the provider is called for
    it, or it ends (then less what the provider itself takes). Every job counts that a strike found, once
    for each time that it was held up; so does one that came after a strike, from its acceptance on.
    """

    name: str
    jobs: int
    faults: int
    lost: int
    """Accepted, and not ended as it should have in time; events that no receiver got."""
    double: int
    """Endings beyond one a job, ended jobs without exactly one result, jobs ended by another than the
    lease's holder, calls of a step whose answer was recorded, second ids of one event."""
    repeats: int
    """Calls that were begun beyond one a job, and not answered with an error."""
    bound: int
    """How often a worker died with one of the jobs: at most so many calls may be repeated."""
    recovery_p50_s: float
    recovery_p99_s: float
    recovers_in_s: float = 30.0
    mistaken: int = 0
    """Jobs taken from living workers by a fault that kills none; attempts that mere waiting has spent."""
    complaints: tuple[str, ...] = ()
    note: str = ""
    skipped: str = ""
    """Why this machine cannot make the fault."""

    @property
    def passed(self) -> bool:
        """Nothing lost, nothing double, no repetition without a death, and soon well again."""
        return not self.complaints and (
            self.lost == self.double == self.mistaken == 0
            and self.repeats <= self.bound
            and self.recovery_p99_s < self.recovers_in_s
        )

    def line(self) -> str:
        """As it is printed."""
        if self.skipped:
            return f"fault {self.name} SKIP ({self.skipped})"
        remarks = "; ".join(filter(None, (*self.complaints, self.note)))
        return (
            f"fault {self.name} jobs={self.jobs} faults={self.faults} lost={self.lost} "
            f"double={self.double} mistaken={self.mistaken} repeats={self.repeats}/{self.bound} "
            f"recovery_p50_s={self.recovery_p50_s:.1f} recovery_p99_s={self.recovery_p99_s:.1f} "
            f"{'PASS' if self.passed else 'FAIL'}{f' ({remarks})' if remarks else ''}"
        )


def skipped(name: str, reason: str) -> Verdict:
    """Nothing was broken, so nothing is claimed."""
    return Verdict(name, 0, 0, 0, 0, 0, 0, 0.0, 0.0, skipped=reason)


def broken_off(name: str, scene: Scene, reason: str) -> Verdict:
    """The fault could not be made, or the platform did not come back as the strike waited for."""
    jobs, faults = len(scene.job_ids), len(scene.faults)
    return Verdict(name, jobs, faults, 0, 0, 0, 0, 0.0, 0.0, complaints=(reason,))


@dataclass(frozen=True)
class _Row:
    state: str
    attempt: int
    deaths: int
    finished_at: datetime | None
    results: int


def judge(
    name: str, scene: Scene, accepted: Sequence[Accepted], expected: Expectation, found: Found
) -> Verdict:
    """Compares what was accepted with what is there."""
    ids = [str(parse_id(one.job_id)) for one in accepted]
    rows = {f"job_{row[0].replace('-', '')}": _Row(*row[1:]) for row in _look(scene, JOBS, ids)}
    begun = begun_calls(scene.stack.home / "simulator.jsonl")
    repeats = {job_id: max(0, len(begun.get(job_id, ())) - 1) for job_id in rows}
    waits = sorted(
        wait
        for one in accepted
        if one.job_id in rows
        for wait in _waits_s(one, rows[one.job_id], begun.get(one.job_id, ()), scene.faults)
    )
    deaths = sum(row.deaths for row in rows.values())
    return Verdict(
        name,
        len(accepted),
        len(scene.faults),
        found.lost + len(accepted) - _as_expected(rows, expected),
        found.double + _doubles(scene, rows, ids),
        sum(repeats.values()),
        0 if expected.nobody_dies else deaths,
        _percentile(waits, 0.50),
        _percentile(waits, 0.99),
        expected.recovers_in_s,
        _mistaken(rows, expected),
        (*found.complaints, *_repeated_alive(rows, repeats)),
    )


def _as_expected(rows: Mapping[str, _Row], expected: Expectation) -> int:
    return sum(bool(row.finished_at) and row.state in expected.states for row in rows.values())


def _doubles(scene: Scene, rows: Mapping[str, _Row], ids: Sequence[str]) -> int:
    endings = abs(int(_look(scene, ENDINGS)[0][0]))
    results = sum(row.results != 1 for row in rows.values() if row.finished_at)
    usurped, paid_again = (int(_look(scene, ask, ids)[0][0]) for ask in (USURPED, PAID_AGAIN))
    return endings + results + usurped + paid_again


def _mistaken(rows: Mapping[str, _Row], expected: Expectation) -> int:
    taken = sum(row.deaths for row in rows.values()) if expected.nobody_dies else 0
    spent = sum(row.attempt > 1 for row in rows.values()) if expected.first_attempt else 0
    return taken + spent


def _repeated_alive(rows: Mapping[str, _Row], repeats: Mapping[str, int]) -> Iterator[str]:
    """Each job has its own bound: one that dies often must not pay for one that was called twice."""
    for job_id, count in repeats.items():
        if count > rows[job_id].deaths:
            yield f"{job_id} was called {count + 1} times and {rows[job_id].deaths} workers died with it"


def _waits_s(
    one: Accepted, row: _Row, begun: Sequence[datetime], faults: Sequence[datetime]
) -> Iterator[float]:
    """How long the job was held up, each time."""
    signs = sorted([*begun, *([row.finished_at] if row.finished_at else [])])
    held_up: dict[datetime, datetime] = {}
    for fault in sorted(faults, reverse=True):
        since = max(fault, one.at)
        following = next((sign for sign in signs if sign > fault), None)
        if following and (fault > one.at or following == signs[0]):
            held_up[following] = since
    for sign, since in held_up.items():
        own_s = one.latency_s if sign == row.finished_at else 0.0
        yield max(0.0, (sign - since).total_seconds() - own_s)


def _look(scene: Scene, statement: str, *params: object) -> list[tuple[Any, ...]]:
    return scene.answer(statement, *params)


def _percentile(values: Sequence[float], share: float) -> float:
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else 0.0
