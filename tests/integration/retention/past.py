"""Jobs that ended a while ago, where they are now, and retention run over them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from factory.domain.money import Usage
from factory.domain.state import State
from factory.pipeline.upkeep.retention import ROUND_S, Retention
from factory.services import Services
from factory.store import archive, jobs
from factory.store.jobs import JobView
from tests.integration.store.samples import (
    BROKE,
    PROJECT,
    ask,
    claim_one,
    end,
    finish,
    given_job,
    record_call,
    tell,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
COST_MICROS = 42


def given_ended(
    services: Services,
    state: State = State.SUCCEEDED,
    *,
    ago: timedelta = 2 * HOUR,
    called: bool = True,
    **changes: object,
) -> UUID:
    """A job that ended so long ago, after one paid call unless it was not `called`."""
    job_id = given_job(services, **changes)
    held = claim_one(services, job_id)
    if called:
        record_call(services, held, cost_micros=COST_MICROS, usage=Usage(3, 5))
    output = {"text": "hello"} if state is State.SUCCEEDED else None
    error = BROKE if state is State.FAILED else None
    finish(services, end(held, state, output=output, error=error))
    set_ended(services, job_id, datetime.now(UTC) - ago)
    return job_id


HAPPENED = """
UPDATE jobs SET finished_at = %(at)s, started_at = %(at)s WHERE id = %(id)s;
UPDATE llm_calls SET started_at = %(at)s WHERE job_id = %(id)s;
UPDATE jobs_archive SET finished_at = %(at)s, started_at = %(at)s WHERE id = %(id)s;
UPDATE job_contents SET finished_at = %(at)s WHERE job_id = %(id)s;
UPDATE llm_calls_archive SET started_at = %(at)s WHERE job_id = %(id)s;
"""


def set_ended(services: Services, job_id: UUID, when: datetime) -> None:
    """The job and its calls happened then."""
    tell(services, HAPPENED, at=when, id=str(job_id))


def given_archived(services: Services, state: State = State.SUCCEEDED, **how: object) -> UUID:
    """A job that ended and has moved to the archive."""
    job_id = given_ended(services, state, **how)  # type: ignore[arg-type]
    retain(services)
    assert places(services, job_id) == ["jobs_archive"]
    return job_id


def retain(services: Services) -> None:
    """One whole round of retention."""
    go_round(Retention(services))


def go_round(retention: Retention) -> None:
    """On to the end of the round, without the rests."""
    while retention.tick() != ROUND_S:
        pass


def move(services: Services, limit: int = 1000) -> int:
    """One batch of jobs, and how many it moved."""
    with services.database.transaction() as tx:
        return archive.move(tx, services.settings.archive_after_s, limit)


def places(services: Services, job_id: UUID) -> list[str]:
    """The tables that hold the job."""
    found = ask(
        services,
        "SELECT 'jobs' AS place FROM jobs WHERE id = %(id)s"
        " UNION ALL SELECT 'jobs_archive' FROM jobs_archive WHERE id = %(id)s",
        id=str(job_id),
    )
    return [row.place for row in found]


def count(services: Services, table: str) -> int:
    [row] = ask(services, f"SELECT count(*) AS rows FROM {table}")
    return int(row.rows)


def find(services: Services, job_id: UUID) -> JobView | None:
    with services.database.transaction() as tx:
        return jobs.get(tx, PROJECT, job_id)
