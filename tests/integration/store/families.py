"""Jobs that wait, and the children that they wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from uuid import UUID

from factory.domain.job import ClaimedJob, Outcome
from factory.domain.state import State
from factory.domain.waiting import WaitFor
from factory.pipeline.finish import finish_jobs
from factory.services import Services
from tests.integration.store.samples import claim_one, end, given_job, given_jobs


def report(services: Services, *outcomes: Outcome) -> Sequence[State | None]:
    with services.database.transaction() as tx:
        return finish_jobs(tx, list(outcomes))


def go_to_wait(services: Services, job: ClaimedJob, wait: WaitFor) -> State | None:
    return report(services, end(job, State.WAITING, waiting_for=wait))[0]


def given_waiting(services: Services, wait: WaitFor, **changes: object) -> UUID:
    job = claim_one(services, given_job(services, **changes))
    assert go_to_wait(services, job, wait) is State.WAITING
    return job.id


def given_family(services: Services, children: int) -> tuple[ClaimedJob, list[ClaimedJob]]:
    """A parent and its children, all of them running."""
    parent = claim_one(services, given_job(services))
    born = given_jobs(services, children, parent_id=parent.id)
    return parent, [claim_one(services, one) for one in born]


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60.0
    while not holds():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def ended_child(child: ClaimedJob, state: State = State.SUCCEEDED) -> Outcome:
    return end(child, state, parent_id=child.parent_id)
