"""Claims and ends of jobs as workers write them, and what is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from factory.domain.job import ClaimedJob, new_id
from factory.domain.money import Usage
from factory.domain.state import State
from factory.llm.catalog import load_catalog
from factory.pipeline.run.attempt import Claim, Ending, claim_jobs, end_attempts
from factory.services import Services
from factory.store import counters, details
from factory.store.journal import CallEnd
from tests.integration.store.samples import PROJECT, end, record_call, tell

OUTPUT = {"text": "hello"}
CATALOG = load_catalog("")


def claim_with_call(services: Services, job_id: UUID) -> tuple[ClaimedJob, UUID]:
    """As a worker does. The call that the job begins with as well."""
    with services.database.transaction() as tx:
        [job] = claim_jobs(tx, [Claim(new_id(), job_id, CATALOG)])
    assert job
    assert job.first_call
    return job, job.first_call


def write(services: Services, *endings: Ending) -> Sequence[State | None]:
    """As a worker does."""
    with services.database.transaction() as tx:
        return end_attempts(tx, list(endings))


def succeed(services: Services, job: ClaimedJob, call: CallEnd | None = None) -> State | None:
    return write(services, Ending(end(job, State.SUCCEEDED, output=OUTPUT), call))[0]


def paid(call_id: UUID, job: ClaimedJob, cost_micros: int | None = 30) -> CallEnd:
    """The end of a call that gave the job's output."""
    usage = Usage(20, 7, 2)
    return CallEnd(
        call_id, job.id, "answer", "openai", "gpt-4o-mini", usage, cost_micros, 5, output=OUTPUT
    )


def opened(services: Services, job: ClaimedJob) -> UUID:
    return record_call(services, job, closed=False)


def kept_live(services: Services, job_id: UUID) -> None:
    """As one that a gateway of a release before accepted."""
    tell(services, "UPDATE jobs SET ends_in_archive = NULL WHERE id = %(id)s", id=str(job_id))


def detail(services: Services, job_id: UUID) -> details.JobDetail:
    with services.database.transaction() as tx:
        [found] = details.get_details(tx, [(PROJECT, job_id)])
    assert found
    return found


def totals(services: Services) -> dict[str, float]:
    found: dict[str, float] = {}
    with services.database.transaction() as tx:
        for one in counters.totals(tx):
            found[one.metric] = found.get(one.metric, 0) + one.amount
    return found
