"""Who decides what held: the provider's own log, and what Postgres has in the end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg2

from factory.domain.job import parse_id
from factory.embedded.home import Home
from factory.simulator.journal import Outcome, Phase, read_entries
from tests.acceptance.stack import Stack
from tests.faults.client import Accepted

JOBS = """
SELECT j.id, j.state, j.attempt, j.deaths, j.finished_at,
       (SELECT count(*) FROM job_results r WHERE r.job_id = j.id) AS results
  FROM jobs j WHERE j.id = ANY(%s::uuid[])
"""
ENDINGS = """
SELECT (SELECT coalesce(sum(amount), 0) FROM counters WHERE metric = 'jobs_finished_total')
     - (SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL)
"""
"""Each ending is counted in the transaction that makes it: what is over was ended twice."""
BOUND_S = 30.0
"""Recovery of the slowest job in a hundred, as FAULTS.md promises it for a killed worker."""


@dataclass(frozen=True)
class Verdict:
    """One fault's line.

    Recovery is the time from the first strike to the end of each job that it found in flight or waiting,
    less what the provider itself takes, in seconds; of a job whose workers died more than once, per death.
    """

    name: str
    jobs: int
    faults: int
    lost: int
    """Accepted, and not ended as it should have in time."""
    double: int
    """Endings beyond one a job since the platform started, and ended jobs without exactly one result."""
    repeats: int
    """Answers that the provider gave beyond one a job."""
    bound: int
    """How often a worker died with one of the jobs: at most so many calls may be repeated."""
    recovery_p50_s: float
    recovery_p99_s: float
    mistaken: int = 0
    """Jobs taken from living workers, by a fault that kills none."""
    note: str = ""

    @property
    def passed(self) -> bool:
        """Nothing lost, nothing double, no repetition without a death, and soon well again."""
        return (
            self.lost == 0
            and self.double == 0
            and self.mistaken == 0
            and self.repeats <= self.bound
            and self.recovery_p99_s < BOUND_S
        )

    def line(self) -> str:
        """As it is printed."""
        return (
            f"fault {self.name} jobs={self.jobs} faults={self.faults} lost={self.lost} "
            f"double={self.double} mistaken={self.mistaken} repeats={self.repeats}/{self.bound} "
            f"recovery_p50_s={self.recovery_p50_s:.1f} recovery_p99_s={self.recovery_p99_s:.1f} "
            f"{'PASS' if self.passed else 'FAIL'}{f' ({self.note})' if self.note else ''}"
        )


@dataclass(frozen=True)
class Expectation:
    """How the jobs of a fault should end; all others are lost."""

    states: frozenset[str] = frozenset({"succeeded"})
    nobody_dies: bool = False
    """The fault kills no worker, so no lease may be taken for expired."""


def judge(
    stack: Stack,
    name: str,
    accepted: Sequence[Accepted],
    faults: Sequence[datetime],
    expected: Expectation,
    note: str = "",
) -> Verdict:
    """Compares what was accepted with what is there."""
    found = _rows(stack, accepted)
    answers = _answers(stack)
    ended = [one for one in accepted if found.get(one.job_id) and found[one.job_id].finished_at]
    as_expected = [one for one in ended if found[one.job_id].state in expected.states]
    deaths = sum(row.deaths for row in found.values())
    repeats = sum(max(0, answers[one.job_id] - 1) for one in accepted)
    waits = sorted(_wait_s(found[one.job_id], one, faults) for one in ended)
    return Verdict(
        name,
        len(accepted),
        len(faults),
        len(accepted) - len(as_expected),
        _endings_beyond_one(stack) + sum(found[one.job_id].results != 1 for one in ended),
        repeats,
        0 if expected.nobody_dies else deaths,
        _percentile(waits, 0.50),
        _percentile(waits, 0.99),
        deaths if expected.nobody_dies else 0,
        note,
    )


@dataclass(frozen=True)
class _Row:
    state: str
    attempt: int
    deaths: int
    finished_at: datetime | None
    results: int


def _rows(stack: Stack, accepted: Sequence[Accepted]) -> dict[str, _Row]:
    found = _ask(stack, JOBS, [str(parse_id(one.job_id)) for one in accepted])
    return {f"job_{row[0].replace('-', '')}": _Row(*row[1:]) for row in found}


def _endings_beyond_one(stack: Stack) -> int:
    return abs(int(_ask(stack, ENDINGS)[0][0]))


def _ask(stack: Stack, statement: str, *params: object) -> list[tuple[Any, ...]]:
    state = Home(stack.home).running_state()
    assert state is not None
    connection = psycopg2.connect(state.database_url)
    try:
        cursor = connection.cursor()
        cursor.execute(statement, params or None)
        return cursor.fetchall()
    finally:
        connection.close()


def _answers(stack: Stack) -> Counter[str]:
    """Whole answers of the provider, by job: each of them would have been billed."""
    entries = read_entries(stack.home / "simulator.jsonl")
    return Counter(
        one.job or ""
        for one in entries
        if one.phase is Phase.ANSWERED and one.outcome is Outcome.OK
    )


def _wait_s(row: _Row, one: Accepted, faults: Sequence[datetime]) -> float:
    """From the first fault before the end to the end, per death; 0 for what ended before any."""
    before = [at for at in faults if row.finished_at and at < row.finished_at]
    if not before or row.finished_at is None:
        return 0.0
    waited_s = (row.finished_at - before[0]).total_seconds() - one.latency_s
    return max(0.0, waited_s / max(1, row.deaths))


def _percentile(values: Sequence[float], share: float) -> float:
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else 0.0
