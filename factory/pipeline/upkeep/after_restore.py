"""The decision about jobs after a restore: an operator lets them go on, or fails them.

A job that goes on may call and pay again for what it had finished after the backup. A job that is failed may never
have been done. Only an operator can weigh that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from factory.domain.job import JobError, Outcome
from factory.domain.principal import PLATFORM
from factory.domain.state import State
from factory.errors import Conflict, RestoredFromBackup
from factory.pipeline.finish import finish_jobs
from factory.services import Services
from factory.store import restores
from factory.store.database import Tx
from factory.store.restores import NONE, LiveJob, Restore

BATCH = 1000
EVER = datetime(1970, 1, 1, tzinfo=UTC)
RELEASED, FAILED = "released", "failed"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was done."""

    decision: str
    failed: int
    """Jobs."""


def release(services: Services) -> Decision:
    """Lets all jobs go on, as they were when the backup was made. Raises Conflict when nothing is held."""
    with services.database.transaction(PLATFORM) as tx:
        _held(tx)
        restores.decide(tx, RELEASED)
    return Decision(RELEASED, 0)


def fail(services: Services, since: datetime = EVER) -> Decision:
    """Fails the jobs in doubt that were created at `since` or later; older ones go on, and what came after the restore.

    Done in parts while everything is still held, so an interrupted run can be repeated. Raises Conflict.
    """
    with services.database.transaction(PLATFORM) as tx:
        until = max(one.restored_to for one in _held(tx))
    failed, after = 0, NONE
    while True:
        with services.database.transaction(PLATFORM) as tx:
            some = restores.some_in_doubt(tx, since, until, BATCH, after)
            failed += sum(state is State.FAILED for state in finish_jobs(tx, _ends(some)))
        if len(some) < BATCH:
            break
        after = some[-1].id
    decision = FAILED if since == EVER else f"{FAILED} since {since.isoformat()}"
    with services.database.transaction(PLATFORM) as tx:
        restores.decide(tx, decision)
    return Decision(decision, failed)


def _held(tx: Tx) -> list[Restore]:
    found = restores.undecided(tx)
    if not found:
        raise Conflict("no restore waits for a decision: jobs go out as ever", code="not_held")
    return found


def _ends(some: list[LiveJob]) -> list[Outcome]:
    error = JobError.of(
        RestoredFromBackup(
            "the database was restored from a backup; whether the job had ended since is not known"
        )
    )
    return [Outcome(one.id, one.lease_token, State.FAILED, error=error) for one in some]
