"""No more is accepted than the limits allow, and the answer says when to come again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from factory.config import Settings
from factory.domain.job import new_id
from factory.errors import TooManyQueued, Unavailable
from factory.limits.backlog import FRESH_S, Backpressure
from factory.pipeline.upkeep.backlog import BacklogMeter
from factory.services import Services, connect
from factory.store import backlog
from tests.integration.pipeline.clock import Clock
from tests.integration.store.samples import PROJECT, claim_one, given_job, given_jobs, publish


def _limited(services: Services, **limits: int) -> Services:
    given: dict[str, Any] = services.settings.model_dump(exclude={"libpq_url"}) | limits
    return connect(Settings(**given), "test")


def _measure(services: Services, drained_per_s: float = 0.0) -> None:
    with services.database.transaction() as tx:
        backlog.measure(tx, drained_per_s)


def _depth(services: Services, project_id: UUID = PROJECT) -> backlog.Depth:
    with services.database.transaction() as tx:
        return backlog.depth(tx, project_id)


def test_published_jobs_wait_too_and_running_ones_do_not(services: Services) -> None:
    first, *_ = given_jobs(services, 4)
    publish(services, "openai.normal", 2)
    claim_one(services, first)
    given_job(services, project_id=new_id())
    _measure(services)
    assert (_depth(services).project, _depth(services).all) == (3, 4)


def test_a_project_that_waits_for_nothing_is_forgotten(services: Services) -> None:
    job_id = given_job(services)
    _measure(services)
    claim_one(services, job_id)
    _measure(services)
    assert _depth(services) == backlog.Depth(0, 0, 0.0)


def test_a_project_over_its_limit_is_told_when_to_come_again(services: Services) -> None:
    given_jobs(services, 9)
    _measure(services, drained_per_s=2.0)
    limited = _limited(services, max_queued_per_project=10)
    limit = Backpressure(limited, Clock())
    limit.admit(PROJECT, 1)
    with pytest.raises(TooManyQueued) as refused:
        limit.admit(PROJECT, 5)
    assert refused.value.retry_after_s == 3
    limit.admit(new_id(), 5)
    limited.close()


def test_a_backlog_over_the_whole_limit_stops_everyone(services: Services) -> None:
    given_jobs(services, 9)
    _measure(services)
    limited = _limited(services, max_queued=9)
    with pytest.raises(Unavailable) as refused:
        Backpressure(limited).admit(new_id(), 1)
    assert refused.value.retry_after_s == 60
    limited.close()


def test_jobs_are_admitted_again_when_the_backlog_is_gone(services: Services) -> None:
    job_id = given_job(services)
    _measure(services)
    clock = Clock()
    limited = _limited(services, max_queued_per_project=1)
    limit = Backpressure(limited, clock)
    with pytest.raises(TooManyQueued):
        limit.admit(PROJECT, 1)
    claim_one(services, job_id)
    _measure(services)
    clock.now_s += FRESH_S
    limit.admit(PROJECT, 1)
    limited.close()


def test_the_meter_measures_at_its_own_pace(services: Services) -> None:
    clock = Clock()
    meter = BacklogMeter(services, clock)
    meter.tick()
    given_job(services)
    meter.tick()
    assert _depth(services).project == 0
    clock.now_s += 1.0
    meter.tick()
    assert _depth(services).project == 1
