"""How many jobs go out together, and in how many messages."""

from __future__ import annotations

import pytest

from factory.domain.lanes import Priority
from factory.domain.slots import capacity, kept_free
from factory.pipeline.dispatch.publish import dispatch
from factory.services import Services
from tests.integration.pipeline.outbox import Outbox, published
from tests.integration.store.samples import (
    OTHER_PROJECT,
    given_job,
    given_jobs,
    given_worker,
    tell,
)


@pytest.mark.parametrize("priority", Priority)
def test_a_job_that_comes_alone_goes_out_at_once(services: Services, priority: Priority) -> None:
    given_worker(services, slots=1000)
    for _ in range(3):
        mine, outbox = given_job(services, priority=priority), Outbox()
        assert dispatch(services, outbox.send) == 1
        assert outbox.job_ids == [mine]


def test_a_full_lane_is_refilled_once_many_have_ended(services: Services) -> None:
    given_worker(services, slots=1000)
    given_jobs(services, 1100, priority=Priority.NORMAL)
    full = capacity(1000) - kept_free(capacity(1000))
    assert dispatch(services, Outbox().send) == full
    _end(services, 15)
    assert dispatch(services, Outbox().send) == 0
    newcomer, outbox = given_job(services, project_id=OTHER_PROJECT), Outbox()
    dispatch(services, outbox.send)
    assert newcomer in outbox.job_ids
    _end(services, 2)
    assert dispatch(services, Outbox().send) == 16
    assert published(services) >= 1000


def _end(services: Services, jobs: int) -> None:
    """So many of those that are out give their places back."""
    some = "SELECT id FROM jobs WHERE published_at IS NOT NULL LIMIT %(jobs)s"
    statement = f"UPDATE jobs SET state = 'waiting', published_at = NULL WHERE id IN ({some})"
    tell(services, statement, jobs=jobs)
