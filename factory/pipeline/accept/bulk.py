"""Accepting many jobs at once: all are checked first, and then written in one transaction.

A bulk holds no connection while its lines are checked, only a few bulks are under way at once, and one thread at a
time checks lines. So single jobs always find a free connection and thread, and get their turn at the interpreter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from factory.domain.job import NewJob
from factory.domain.principal import Principal
from factory.errors import InvalidInput
from factory.kinds.request import JobRequest
from factory.limits.places import Places
from factory.pipeline.accept.accepted import (
    BulkAccepted,
    Rejected,
    StoredAnswer,
    bulk_as_accepted,
    bulk_json,
    rejected,
    stored_bulk,
)
from factory.pipeline.accept.submit import (
    Agent,
    IdempotencyKey,
    Intake,
    Repeated,
    bind_key,
    earlier_use,
    prepared,
    same_request,
    stored_agent,
    unknown_agent,
)
from factory.store import agents, jobs
from factory.store.agents import ActiveAgent
from factory.store.database import Tx
from factory.store.idempotency import Taken

PART_LINES = 500
"""Lines that are checked in one go, and written by one statement."""
MOST = 24
"""Bulks that are under way or wait for their turn: half of the gateway's threads."""
MOST_CHECKED = 5
"""Bulks that are checked or written at once, if there are as many connections."""
WAIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a bulk, counted from 1: its request, or why it cannot be read."""

    number: int
    request: JobRequest | InvalidInput


@dataclass(slots=True)
class _Checked:
    """The ids and texts of the good lines, and what is wrong with the others."""

    ids: list[UUID] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    """The good lines as they are sent to Postgres: a third of the memory of the jobs themselves."""
    rejected: list[Rejected] = field(default_factory=list)


class Bulks:
    """Accepts bulks, a limited number at once. Made once per process."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        # Half of the connections stays free for single jobs and reads.
        half = max(1, intake.services.settings.database_pool_size // 2)
        self._places = Places(min(half, MOST_CHECKED), most=MOST, wait_s=WAIT_S)
        self._checking = threading.Lock()

    def submit(
        self, who: Principal, lines: Sequence[Line], *, key: IdempotencyKey | None = None
    ) -> BulkAccepted | StoredAnswer:
        """Accepts all good lines in one transaction, also for a repeated key.

        Without one good line nothing is written, and the key stays free. Raises IdempotencyMismatch,
        IdempotencyInFlight, TooManyQueued or Unavailable.
        """
        intake = self._intake
        if earlier := earlier_use(intake, who, key):
            return _bulk_of(same_request(earlier, key))
        intake.backpressure.admit(who.project_id, len(lines))
        with self._places.take(who.project_id, "bulks"):
            checked = self._check(who, lines)
            accepted = BulkAccepted(checked.ids, checked.rejected)
            try:
                if checked.ids:
                    self._write(who, checked.parts, key, accepted)
            except Repeated as repeated:
                return _bulk_of(same_request(repeated.taken, key))
        intake.wake_up.send()
        return accepted

    def _check(self, who: Principal, lines: Sequence[Line]) -> _Checked:
        find = self._agents(who)
        checked = _Checked()
        for start in range(0, len(lines), PART_LINES):
            # One bulk at a time: only one thread has the interpreter anyway.
            with self._checking:
                good = []
                for line in lines[start : start + PART_LINES]:
                    try:
                        good.append(self._job(who, line, find))
                    except InvalidInput as error:
                        checked.rejected.append(rejected(line.number, error))
                checked.ids += [job.id for job in good]
                if good:
                    checked.parts.append(jobs.packed(good))
        return checked

    def _agents(self, who: Principal) -> Callable[[str], Agent]:
        with self._intake.services.database.autocommit(who) as tx:
            found = {agent.name: agent for agent in agents.listed(tx)}
        return lambda name: _named(found, name)

    def _job(self, who: Principal, line: Line, find: Callable[[str], Agent]) -> NewJob:
        if isinstance(line.request, InvalidInput):
            raise line.request
        agent = find(line.request.agent) if line.request.agent else None
        return prepared(self._intake, who, line.request, agent, None)

    def _write(
        self,
        who: Principal,
        parts: Sequence[str],
        key: IdempotencyKey | None,
        accepted: BulkAccepted,
    ) -> None:
        with self._intake.services.database.transaction(who) as tx:
            _insert(tx, parts)
            if key:
                bind_key(tx, who, key, bulk_json(accepted), stored_bulk(accepted), None)


def _insert(tx: Tx, parts: Sequence[str]) -> None:
    for part in parts:
        jobs.insert_packed(tx, part)


def _named(found: dict[str, ActiveAgent], name: str) -> Agent:
    if name not in found:
        raise unknown_agent(name, found)
    return stored_agent(found[name])


def _bulk_of(taken: Taken) -> BulkAccepted | StoredAnswer:
    """The bulk that an earlier use of a key made."""
    return bulk_as_accepted(taken.accepted) or StoredAnswer(taken.answer)
