"""What a step of a job costs with a million jobs queued and a million ended, beside an empty system.

Two databases on one server, nearly empty and full, take turns in the same cycle of work: a round of
dispatch, claims and finishes of what it published, submissions, polls. So both see the same machine, and
the ratio is that of their sizes.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg2

from benchmarks import history
from benchmarks.figures import Figure, at_most, at_most_times
from benchmarks.stand import Scale, Stand, running_stand
from factory.config import Settings
from factory.domain.job import ClaimedJob, Outcome, new_id
from factory.domain.lanes import all_lanes
from factory.domain.principal import Principal
from factory.domain.state import State
from factory.kinds.request import JobRequest
from factory.limits.backlog import Backpressure
from factory.llm.catalog import load_catalog
from factory.pipeline.accept.submit import Intake, submit
from factory.pipeline.dispatch.publish import Message, dispatch
from factory.pipeline.wakeup import WakeUpSender
from factory.services import Services, connect
from factory.store import jobs, leases, moves, successes
from factory.store.database import rows
from factory.store.migrate import upgrade
from factory.store.successes import Success
from workers.app import create_app
from workers.messages import Publisher

EMPTY = 1_500
"""Jobs queued and ended in the nearly empty database: enough for the windows of a few rounds."""
SLOTS = 100
WIDE_SLOTS = 2_000
"""Slots of the worker whose window fills Redis."""
SET = 32
"""Jobs of one claim: as many as a message of a bulk lane carries."""
STEPS = 30
"""Submissions and polls in a cycle."""
TIMES = 1.2
REQUEST = JobRequest.model_validate({"model": "openai/gpt-4o-mini", "input": "What is a queue?"})
PER = {
    "submit": "a job",
    "dispatch": f"a round that fills three lanes' windows for {SLOTS} slots",
    "claim": f"a set of {SET}",
    "finish": f"a set of {SET}",
    "poll": "GET of a live job",
    "poll_archived": "GET of an archived job",
}
T = TypeVar("T")
JobKey = tuple[UUID, UUID]
"""Project and job."""


def figures(scale: Scale) -> Iterator[Figure]:
    """Goal 6."""
    size = 100_000 if scale.quick else 1_000_000
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        running_stand(Path(directory)) as stand,
        ExitStack() as stack,
    ):
        empty = _platform(stand, "nearly_empty", EMPTY, stack)
        loaded = _platform(stand, "loaded", size, stack)
        for _ in range(2):
            for platform in (empty, loaded):
                platform.cycle()
        for platform in (empty, loaded):
            platform.took_ms.clear()
        for _ in range(10 if scale.quick else 40):
            for platform in (empty, loaded):
                platform.cycle()
        against = f"{EMPTY:,} queued + {EMPTY:,} ended"
        for step, per in PER.items():
            ours, peer = (median(one.took_ms[step]) for one in (loaded, empty))
            note = f"{per}; {size:,} queued + {size:,} ended"
            yield Figure(f"flat_{step}", ours, "ms", at_most_times(TIMES), peer, against, note)
        grown_mb = loaded.redis_growth_mb()
        note = f"{size:,} queued, a window of {WIDE_SLOTS:,} slots published"
        yield Figure("flat_redis", grown_mb, "MB", at_most(50), note=note)


def _platform(stand: Stand, name: str, size: int, stack: ExitStack) -> Platform:
    """A database of its own, filled."""
    services = database(stand, name, stack)
    history.fill(services, size, size)
    platform = Platform(services)
    stack.callback(platform.intake.wake_up.stop)
    return platform


def database(stand: Stand, name: str, stack: ExitStack) -> Services:
    """An empty database on the stand's server, with our tables."""
    connection = psycopg2.connect(stand.database_url)
    connection.autocommit = True
    connection.cursor().execute(f'CREATE DATABASE "{name}"')
    connection.close()
    url = urlunsplit(urlsplit(stand.database_url)._replace(path=f"/{name}"))
    upgrade(url)
    settings = Settings(**{**stand.services.settings.model_dump(), "database_url": url})
    services = connect(settings, "bench")
    stack.callback(services.close)
    return services


class Platform:
    """The steps of a job on one database, and how long each took."""

    def __init__(self, services: Services) -> None:
        self.took_ms: dict[str, list[float]] = defaultdict(list)
        self.services = services
        backpressure = Backpressure(services)
        self.intake = Intake(services, load_catalog(""), WakeUpSender(services.redis), backpressure)
        self._random = random.Random(1)  # the same choice in every run
        self._worker_id = self._register(SLOTS)
        self._live = self._some("SELECT project_id, id FROM jobs")
        self._archived = self._some("SELECT project_id, id FROM jobs_archive")
        self._projects = sorted({str(project_id) for project_id, _ in self._live})

    def cycle(self) -> None:
        """Once each step; what was dispatched is finished, and the backlog filled up again."""
        with self.services.database.transaction() as tx:
            leases.heartbeat(tx, self._worker_id)
        published: list[UUID] = []

        def send(_lane: str, messages: Sequence[Message]) -> None:
            for message in messages:
                published.extend(message.job_ids)

        self._timed("dispatch", lambda: dispatch(self.services, send))
        for first in range(0, len(published) - SET + 1, SET):
            held = self._timed("claim", lambda at=first: self._claim(published[at : at + SET]))
            self._timed("finish", lambda held=held: self._finish(held))
        self._finish(self._claim(published[len(published) // SET * SET :]))
        who = Principal(frozenset({UUID(self._projects[0])}), "bench")
        for _ in range(STEPS):
            self._timed("submit", lambda: submit(self.intake, who, REQUEST))
            self._timed("poll", lambda: self._poll(self._live))
            self._timed("poll_archived", lambda: self._poll(self._archived))
        history.insert(self.services.database, history.QUEUED, self._projects, len(published))

    def redis_growth_mb(self) -> float:
        """Of publishing a wide window of this backlog for real."""
        self._register(WIDE_SLOTS)
        publisher = Publisher(create_app(self.services.settings.redis_url))
        before = self.services.redis.info("memory")["used_memory"]
        while dispatch(self.services, publisher.send):
            pass
        return (self.services.redis.info("memory")["used_memory"] - before) / 1e6

    def _timed(self, step: str, take: Callable[[], T]) -> T:
        started = time.perf_counter()
        result = take()
        self.took_ms[step].append(1000 * (time.perf_counter() - started))
        return result

    def _claim(self, job_ids: Sequence[UUID]) -> list[ClaimedJob]:
        with self.services.database.transaction() as tx:
            return moves.claim(tx, self._worker_id, job_ids)

    def _finish(self, held: Sequence[ClaimedJob]) -> None:
        ends = [
            Success(Outcome(j.id, j.lease_token, State.SUCCEEDED, output={"text": "Yes."}))
            for j in held
        ]
        with self.services.database.transaction() as tx:
            successes.finish(tx, ends)

    def _poll(self, keys: Sequence[JobKey]) -> None:
        project_id, job_id = self._random.choice(keys)
        with self.services.database.transaction() as tx:
            assert jobs.get(tx, project_id, job_id) is not None

    def _register(self, slots: int) -> UUID:
        worker_id = new_id()
        with self.services.database.transaction() as tx:
            leases.register(tx, worker_id, hostname="bench", pid=1, lanes=all_lanes(), slots=slots)
        return worker_id

    def _some(self, statement: str) -> list[JobKey]:
        """A thousand from all over the table."""
        with self.services.database.transaction() as tx:
            found = rows(tx, f"{statement} ORDER BY random() LIMIT 1000")
        return [(row.project_id, row.id) for row in found]
