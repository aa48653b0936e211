"""How many jobs go out together, and in how many messages."""

from __future__ import annotations

from collections import Counter

import pytest

from factory.domain.job import new_id
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


@pytest.mark.parametrize(
    ("workers", "jobs", "sizes"),
    [
        (1, 3, {1: 3}),
        (1, 10, {5: 2}),
        (1, 500, {16: 31, 4: 1}),
        (2, 12, {3: 4}),
        (4, 500, {16: 31, 4: 1}),
    ],
)
def test_jobs_of_a_normal_lane_share_messages_when_many_are_due(
    services: Services, workers: int, jobs: int, sizes: dict[int, int]
) -> None:
    for _ in range(workers):
        given_worker(services, slots=1000)
    given_jobs(services, jobs)
    outbox = Outbox()
    dispatch(services, outbox.send)
    assert Counter(len(ids) for _, messages in outbox.sent for ids in messages) == sizes


def test_jobs_that_may_have_to_wait_for_a_slot_go_one_by_one(services: Services) -> None:
    """Many projects that hold few fill the places that are kept for them, and a quarter ahead."""
    given_worker(services, slots=100)
    for _ in range(100):
        given_jobs(services, 3, project_id=new_id())
    outbox = Outbox()
    while dispatch(services, outbox.send):
        pass
    sizes = [len(ids) for _, messages in outbox.sent for ids in messages]
    shared = sum(size for size in sizes if size > 1)
    assert sum(sizes) == int(1.25 * capacity(100)) + 1
    assert shared <= capacity(100) - kept_free(capacity(100))


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
    statement = (
        "WITH gone AS (DELETE FROM hints WHERE job_id IN (SELECT job_id FROM hints LIMIT %(jobs)s)"
        " RETURNING job_id)"
        " UPDATE jobs SET state = 'waiting' WHERE id IN (SELECT job_id FROM gone)"
    )
    assert tell(services, statement, jobs=jobs) == jobs
