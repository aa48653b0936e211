"""The platform's own functions over a real Postgres, with a clock that can be turned and a lossy broker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from factory.domain.job import new_id
from factory.domain.lanes import all_lanes
from factory.pipeline.dispatch.publish import Message, dispatch
from factory.pipeline.upkeep.reaper import Reaper, mark_dead
from factory.pipeline.upkeep.rescue import fail_overdue, republish_lost
from factory.services import Services
from factory.store import archive, leases, lost_hints, partitions
from factory.store.database import Tx, rows, run
from factory.store.intents import is_open
from factory.store.partitions import CONTENTS
from tests.integration.pipeline.clock import Clock
from tests.integration.reliability import turned_clock

SLOTS = 50
MOST = 1000
TABLES = """
jobs, job_requests, job_outcomes, job_steps, llm_calls, workers, counters, projects, jobs_archive,
job_contents, llm_calls_archive
"""

IN_ROW = f"CASE WHEN {is_open('j')} THEN 1 ELSE 0 END"
FOUND = f"""
SELECT j.id, j.project_id, j.state, j.attempt, j.max_attempts, j.deferrals, j.deaths, j.worker_id,
       j.lease_token, j.state = 'queued' AND j.run_at <= now() AS due,
       coalesce(j.deadline_at <= now(), false) AS overdue, false AS archived, 0 AS left_behind,
       (SELECT count(*) FROM job_outcomes r WHERE r.job_id = j.id) AS results,
       (SELECT count(*) FROM job_outcomes r WHERE r.job_id = j.id AND r.output IS NOT NULL) AS outputs,
       (SELECT count(*) FROM job_steps s WHERE s.job_id = j.id) AS steps,
       (SELECT count(*) FROM jobs w WHERE w.parent_id = j.id AND w.kind = 'webhook') AS events,
       (SELECT count(*) FROM llm_calls c WHERE c.job_id = j.id) + {IN_ROW} AS calls,
       (SELECT count(*) FROM llm_calls c WHERE c.job_id = j.id AND c.status = 'open') + {IN_ROW} AS open_calls
  FROM jobs j
 UNION ALL
SELECT j.id, j.project_id, j.state, j.attempt, j.max_attempts, j.deferrals, j.deaths, NULL,
       NULL, false, false, true,
       (SELECT count(*) FROM job_requests p WHERE p.job_id = j.id)
           + (SELECT count(*) FROM job_outcomes r WHERE r.job_id = j.id)
           + (SELECT count(*) FROM job_steps s WHERE s.job_id = j.id)
           + (SELECT count(*) FROM llm_calls l WHERE l.job_id = j.id),
       (SELECT count(*) FROM job_contents c WHERE c.job_id = j.id),
       (SELECT count(*) FROM job_contents c WHERE c.job_id = j.id AND c.output IS NOT NULL),
       (SELECT count(*) FROM job_contents c, jsonb_object_keys(c.steps) WHERE c.job_id = j.id),
       (SELECT count(*) FROM jobs w WHERE w.parent_id = j.id AND w.kind = 'webhook'),
       (SELECT count(*) FROM llm_calls_archive c WHERE c.job_id = j.id),
       (SELECT count(*) FROM llm_calls_archive c WHERE c.job_id = j.id AND c.status = 'open')
  FROM jobs_archive j
"""

Item = TypeVar("Item")
Result = TypeVar("Result")


class World:
    """Everything but the workers' minds, which the machine has."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.clock = Clock()
        self.reaper = Reaper(services, self.clock)
        self.broker: list[Message] = []
        self.rank: dict[UUID, int] = {}
        """The jobs in the order of their submission: ids are random, and a life must go the same way each time."""
        turned_clock.reset(services)
        with services.database.transaction() as tx:
            run(tx, f"TRUNCATE {TABLES} CASCADE")

    def write(self, statement: Callable[[Tx, list[Item]], Sequence[Result]], item: Item) -> Result:
        """One statement of the writer, committed, for one item."""
        with self.services.database.transaction() as tx:
            return statement(tx, [item])[0]

    def start_worker(self) -> UUID:
        worker_id = new_id()
        with self.services.database.transaction() as tx:
            leases.register(tx, worker_id, hostname="here", pid=1, lanes=all_lanes(), slots=SLOTS)
        return worker_id

    def beat(self, worker_id: UUID) -> list[UUID]:
        with self.services.database.transaction() as tx:
            return leases.heartbeat(tx, worker_id).unwanted

    def mark_dead(self, worker_id: UUID) -> None:
        with self.services.database.transaction() as tx:
            mark_dead(tx, [worker_id])

    def publish(self) -> None:
        sent: list[Message] = []
        dispatch(self.services, lambda _lane, messages: sent.extend(messages))
        self.broker += sorted(sent, key=self._first_rank)

    def _first_rank(self, message: Message) -> int:
        """The platform's own deliveries come last."""
        return min(self.rank.get(one, len(self.rank)) for one in message.job_ids)

    def drop_hint(self, pick: int) -> None:
        if self.broker:
            del self.broker[pick % len(self.broker)]

    def lose_all_hints(self) -> None:
        """As after a flush that `notice_new_broker` has seen."""
        self.broker.clear()
        with self.services.database.transaction() as tx:
            lost_hints.forget_all(tx)

    def republish(self) -> None:
        republish_lost(self.services)

    def sleep(self, seconds: int) -> None:
        """So much time passes, and nobody looks."""
        self.clock.now_s += seconds
        turned_clock.turn(self.services, seconds)

    def tick(self, beating: Collection[UUID]) -> None:
        """A second passes, the reaper looks and then these workers beat: after a pause, it is the first."""
        self.sleep(1)
        self.reaper.tick()
        for worker_id in beating:
            self.beat(worker_id)

    def end_overdue(self) -> None:
        fail_overdue(self.services)

    def archive(self) -> None:
        """All that may go there, without the hour that it mostly stays."""
        with self.services.database.transaction() as tx:
            archive.move(tx, -1, MOST)  # also what has ended at this very moment

    def expire(self) -> None:
        """The archive's content has had its time."""
        with self.services.database.transaction() as tx:
            later = partitions.database_now(tx) + timedelta(seconds=1)
            partitions.trim_default(tx, CONTENTS, later, MOST)

    def found(self) -> dict[UUID, Any]:
        """Every job as it is stored, the platform's own deliveries too. Each is in one place."""
        with self.services.database.transaction() as tx:
            everything = rows(tx, FOUND)
        found = {row.id: row for row in everything}
        assert len(found) == len(everything), "a job is among the live ones and in the archive"
        return found
