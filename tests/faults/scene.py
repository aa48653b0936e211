"""What a strike works with: a running platform, the dice, and what it notes for the judge."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
from redis import Redis

from factory.embedded.home import Home, InstallationState
from tests.acceptance.stack import Stack, eventually
from tests.faults.client import Accepted
from tests.integration.reliability.proxy import Proxy

LONG_S = 60.0
Ground = Callable[[Path], AbstractContextManager[Sequence[str] | None]]
"""Prepares the directory that a platform is to run in; gives the command that is its `factory`, None for ours."""


@dataclass
class Scene:
    """A running platform, and when what was broken."""

    stack: Stack
    dice: random.Random
    job_ids: list[str] = field(default_factory=list)
    beforehand: list[Accepted] = field(default_factory=list)
    """Jobs that the stage has submitted, to be judged with the others."""
    faults: list[datetime] = field(default_factory=list)
    hooks: list[str] = field(default_factory=list)
    """URLs for the jobs' webhooks, in turn; none without."""
    receivers: Mapping[str, Any] = field(default_factory=dict)
    past_jobs: int = 0
    """How many jobs an installation has that is upgraded, beside those that are judged."""
    notes: list[str] = field(default_factory=list)
    """What a strike has measured, for its line."""
    extra_pid: int = 0
    """Of the harness' own worker, where there is one."""
    ways: Mapping[str, Proxy] = field(default_factory=dict)
    """The extra worker's, to postgres and redis."""
    calm_s: float = 0.0
    """How late a job is while nothing is broken, p95: see `strikes.calm`."""
    calm_webhooks_s: float = 0.0
    """The same of a webhook."""

    def struck(self) -> None:
        """Notes the time of a fault."""
        self.faults.append(datetime.now(UTC))

    def state(self) -> InstallationState:
        state = Home(self.stack.home).running_state()
        assert state is not None
        return state

    def redis(self) -> Redis:
        return Redis.from_url(self.state().redis_url, socket_timeout=30)

    def worker_pids(self) -> list[int]:
        return [one.pid for one in self.stack.programs("workers.worker")]

    def running_worker_pid(self, among: Sequence[int] | None = None) -> int:
        """One of the workers that hold a job, of all or of these."""

        def holders() -> list[int]:
            pids = [one["pid"] for one in self.stack.workers() if one["running"]]
            return [pid for pid in pids if among is None or pid in among]

        return self.dice.choice(eventually(holders, LONG_S))

    def simulator_url(self) -> str:
        (one,) = self.stack.programs("factory.simulator")
        port = one.command.split("--port ")[1].split()[0]
        return f"http://127.0.0.1:{port}"

    def ended_at(self, job_id: str) -> datetime:
        return datetime.fromisoformat(self.stack.job(job_id)["finished_at"])

    def ask(self, statement: str, *params: object) -> list[tuple[Any, ...]] | None:
        """The rows; None when there is no server that answers."""
        try:
            connection = psycopg2.connect(self.state().database_url, connect_timeout=2)
        except psycopg2.OperationalError:
            return None
        try:
            cursor = connection.cursor()
            cursor.execute(statement, params or None)
            return cursor.fetchall()
        except psycopg2.OperationalError:
            return None
        finally:
            connection.close()

    def answer(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        """The rows, as soon as Postgres gives them: on a busy machine it may be slow to let in."""
        found: list[list[tuple[Any, ...]]] = []

        def answered() -> bool:
            rows = self.ask(statement, *params)
            found.extend([] if rows is None else [rows])
            return bool(found)

        eventually(answered, LONG_S)
        return found[0]


@dataclass(frozen=True)
class Expectation:
    """How the jobs of a fault should end; all others are lost."""

    states: frozenset[str] = frozenset({"succeeded"})
    nobody_dies: bool = False
    """The fault kills no worker, so no lease may be taken for expired."""
    first_attempt: bool = False
    """Waiting spends no attempt."""
    recovers_in_s: float = 30.0
    """The slowest job in a hundred, as is promised for a killed worker."""
    unbroken: bool = False
    """No request fails, but for connections that are refused while a gateway is replaced."""


@dataclass(frozen=True)
class Found:
    """What only this fault's own witness can tell, such as a receiver of webhooks."""

    lost: int = 0
    double: int = 0
    complaints: tuple[str, ...] = ()
    """Each is a reason to fail."""


def _nothing_more(_scene: Scene) -> AbstractContextManager[None]:
    return nullcontext()


def _found_nothing(_scene: Scene, _accepted: Sequence[Accepted]) -> Found:
    return Found()


@dataclass(frozen=True)
class Fault:
    """`strike` breaks something while jobs with these latencies (seconds) are in flight."""

    strike: Callable[[Scene], None]
    share: float = 1.0
    """Of the usual number of jobs."""
    latency_s: tuple[float, float] = (0.05, 2.0)
    expected: Expectation = Expectation()
    busy: bool = False
    """Jobs keep coming at the first pace, however long it lasts."""
    models: tuple[str, ...] = ("openai/gpt-4o-mini",)
    """In turn."""
    priority: str = "normal"
    stage: Callable[[Scene], AbstractContextManager[None]] = _nothing_more
    """What must stand before the first job comes."""
    verify: Callable[[Scene, Sequence[Accepted]], Found] = _found_nothing
    impossible: Callable[[], str] = lambda: ""
    """Why this machine cannot make the fault."""
    ground: Ground | None = None
    """What a stack of its own stands on, where the fault needs one."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of a stack of its own, where the fault needs other settings than all have."""
    alone: bool = False
    """No other stack runs meanwhile: programs start over and over, and how soon they do is what is measured."""

    def body(self, scene: Scene, number: int, latency_s: float) -> Mapping[str, Any]:
        """The job that is submitted as this number."""
        text = f"{{{{simulate latency_ms={int(latency_s * 1000)}}}}} Why?"
        job: dict[str, Any] = {
            "model": self.models[number % len(self.models)],
            "input": text,
            "priority": self.priority,
            "max_attempts": 20,
        }
        if scene.hooks:
            job["webhook"] = {"url": scene.hooks[number % len(scene.hooks)]}
        return job
