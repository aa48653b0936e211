"""Rescue: jobs of dead workers come back, jobs of living ones do not, whatever the clocks do."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from uuid import UUID

import pytest

from factory.domain.job import ClaimedJob
from factory.domain.state import State
from factory.pipeline.upkeep.broker import EPOCH_KEY, notice_new_broker
from factory.pipeline.upkeep.reaper import Reaper
from factory.pipeline.upkeep.rescue import Rescue, fail_overdue, republish_lost
from factory.services import Services, connect
from factory.store import moves
from tests.integration.pipeline.clock import Clock
from tests.integration.store.samples import (
    HOOK,
    PROJECT,
    ask,
    claim,
    end,
    finish,
    given_job,
    given_jobs,
    given_worker,
    publish,
    silence,
    state_of,
    tell,
    view,
    webhooks_of,
)


class Reaping:
    """A reaper, its clock, and the database's clock turned along with it."""

    def __init__(self, services: Services) -> None:
        self.clock = Clock()
        self.services = services
        self.reaper = Reaper(services, self.clock)

    def tick(self, pause_s: float = 1.0) -> int:
        """Another tick after a pause that both clocks see."""
        self.clock.now_s += pause_s
        self.reaper._database_time -= pause_s
        return self.reaper.tick()

    def pass_time(self, seconds: int) -> int:
        """So many ticks, a second apart; gives how many jobs they took back."""
        return sum(self.tick() for _ in range(seconds))


@pytest.fixture
def reaping(services: Services) -> Reaping:
    """A reaper whose first hold is over."""
    reaping = Reaping(services)
    assert reaping.pass_time(17) == 0
    return reaping


def _lost_job(services: Services, **changes: object) -> ClaimedJob:
    """A running job whose worker has been silent for a minute."""
    worker_id = given_worker(services)
    [job] = claim(services, worker_id, given_job(services, **changes))
    silence(services, worker_id, 60)
    return job


def test_the_job_of_a_dead_worker_is_queued_and_its_attempt_is_spent(reaping: Reaping) -> None:
    job = _lost_job(reaping.services)
    assert reaping.tick() == 1
    seen = view(reaping.services, job.id)
    assert (seen.state, seen.attempt) == (State.QUEUED, 1)
    [again] = claim(reaping.services, given_worker(reaping.services), job.id)
    assert again.attempt == 2
    assert reaping.tick() == 0


def test_the_late_worker_cannot_finish_it_any_more(reaping: Reaping) -> None:
    job = _lost_job(reaping.services)
    reaping.tick()
    assert finish(reaping.services, end(job, State.SUCCEEDED)) == []


def test_a_death_at_the_last_attempt_is_the_end(reaping: Reaping) -> None:
    job = _lost_job(reaping.services, max_attempts=1, webhook_url=HOOK)
    reaping.tick()
    seen = view(reaping.services, job.id)
    assert seen.state is State.FAILED
    assert seen.error is not None
    assert seen.error["type"] == "worker_lost"
    assert len(webhooks_of(reaping.services, job.id)) == 1


def test_an_unwanted_job_of_a_dead_worker_is_cancelled(reaping: Reaping) -> None:
    job = _lost_job(reaping.services)
    with reaping.services.database.transaction() as tx:
        moves.request_cancel(tx, PROJECT, job.id)
    reaping.tick()
    assert state_of(reaping.services, job.id) is State.CANCELLED


def test_the_job_of_a_living_worker_stays_its_own(reaping: Reaping) -> None:
    [job] = claim(reaping.services, given_worker(reaping.services), given_job(reaping.services))
    assert reaping.tick() == 0
    assert finish(reaping.services, end(job, State.SUCCEEDED))


def test_two_reapers_take_a_job_back_once(reaping: Reaping, services: Services) -> None:
    other = Reaping(services)
    other.pass_time(17)
    job = _lost_job(services)
    reaping.tick()
    other.tick()
    assert (view(services, job.id).state, view(services, job.id).attempt) == (State.QUEUED, 1)


def test_a_new_reaper_waits_a_whole_lease(services: Services) -> None:
    _lost_job(services)
    reaping = Reaping(services)
    assert reaping.pass_time(15) == 0
    assert reaping.pass_time(2) == 1


def test_a_reaper_that_was_away_waits_a_whole_lease(reaping: Reaping) -> None:
    _lost_job(reaping.services)
    assert reaping.tick(pause_s=3.5) == 0
    assert reaping.pass_time(14) == 0
    assert reaping.pass_time(2) == 1


@pytest.mark.parametrize("jump_s", [-3600, -6, 4, 3600])
def test_a_reaper_waits_a_whole_lease_after_a_jump_of_the_databases_clock(
    reaping: Reaping, jump_s: int
) -> None:
    _lost_job(reaping.services)
    reaping.reaper._database_time -= jump_s
    assert reaping.tick() == 0
    assert reaping.pass_time(14) == 0
    assert reaping.pass_time(2) == 1


def test_a_slow_tick_is_no_pause(reaping: Reaping) -> None:
    _lost_job(reaping.services)
    assert reaping.tick(pause_s=2.5) == 1


def test_a_queued_job_past_its_deadline_fails(services: Services) -> None:
    late, early, unbound = (
        given_job(services, deadline_s=0.001, webhook_url=HOOK),
        given_job(services, deadline_s=60.0),
        given_job(services),
    )
    [running] = claim(services, given_worker(services), given_job(services, deadline_s=0.001))
    assert fail_overdue(services) == 1
    seen = view(services, late)
    assert seen.state is State.FAILED
    assert seen.error is not None
    assert seen.error["type"] == "deadline_exceeded"
    assert len(webhooks_of(services, late)) == 1
    assert {state_of(services, job_id) for job_id in (early, unbound)} == {State.QUEUED}
    assert state_of(services, running.id) is State.RUNNING
    assert fail_overdue(services) == 0


def test_a_lost_hint_goes_out_again(services: Services) -> None:
    job_id = given_job(services)
    publish(services, "openai.normal", 1)
    assert republish_lost(services) == 0
    tell(services, "UPDATE hints SET published_at = now() - interval '11 seconds'")
    assert republish_lost(services) == 1
    assert publish(services, "openai.normal", 1) == [job_id]


def test_an_emptied_broker_is_noticed_once(services: Services) -> None:
    services.redis.flushdb()
    assert notice_new_broker(services)
    published = _publish_all(services, 3)
    assert not notice_new_broker(services)
    assert _published(services) == 3
    services.redis.flushdb()
    assert notice_new_broker(services)
    assert not notice_new_broker(services)
    assert sorted(publish(services, "openai.normal", 5)) == sorted(published)


def test_a_restarted_broker_is_noticed(services: Services) -> None:
    notice_new_broker(services)
    _publish_all(services, 3)
    services.redis.set(EPOCH_KEY, "the run id of the broker before")
    assert notice_new_broker(services)
    assert _published(services) == 0


def _publish_all(services: Services, count: int) -> list[UUID]:
    job_ids = given_jobs(services, count)
    assert len(publish(services, "openai.normal", count)) == count
    return job_ids


def _published(services: Services) -> int:
    return len(ask(services, "SELECT FROM hints"))


def test_rescue_does_all_of_it_once_a_second(services: Services) -> None:
    clock = Clock()
    rescue = Rescue(services, clock)
    rescue.tick()
    late = given_job(services, deadline_s=0.001)
    rescue.tick()
    assert state_of(services, late) is State.QUEUED
    clock.now_s += 1.0
    rescue.tick()
    assert state_of(services, late) is State.FAILED


def test_rescue_goes_on_while_the_broker_is_away(services: Services) -> None:
    late = given_job(services, deadline_s=0.001)
    settings = services.settings.model_copy(update={"redis_url": "unix:///nowhere"})
    Rescue(replace(services, redis=connect(settings, "test").redis), Clock()).tick()
    assert state_of(services, late) is State.FAILED


def test_a_broker_that_hangs_does_not_make_the_reaper_absent(services: Services) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}"
        settings = services.settings.model_copy(update={"redis_url": url})
        rescue = Rescue(replace(services, redis=connect(settings, "test").redis), Clock())
        started = time.monotonic()
        rescue.tick()
    assert time.monotonic() - started < 20  # without an end of its own it is 40 s and more


def test_the_hints_that_a_dead_worker_had_fetched_go_out_again(services: Services) -> None:
    """However often they went out before, and once for a death: the worker is to blame, not a slow lane."""
    silence(services, given_worker(services), 20)
    given_worker(services)
    fetched, fresh = given_job(services), given_job(services)
    publish(services, "openai.normal", 2)
    tell(services, "UPDATE hints SET publishes = 5")
    tell(
        services,
        "UPDATE hints SET published_at = now() - interval '30 seconds' WHERE job_id = %(id)s",
        id=str(fetched),
    )
    assert republish_lost(services) == 1
    assert publish(services, "openai.normal", 5) == [fetched]
    assert republish_lost(services) == 0
    assert fresh not in publish(services, "openai.normal", 5)


def test_the_death_of_a_shared_process_spends_no_attempt(reaping: Reaping) -> None:
    """Also where nobody saw it: the parent died at the same moment."""
    services = reaping.services
    worker_id, job_id = given_worker(services), given_job(services, max_attempts=1)
    tell(services, "UPDATE jobs SET deaths = 2")
    with services.database.transaction() as tx:
        assert moves.claim(tx, worker_id, [job_id], quarantine=True)
    silence(services, worker_id, 60)
    reaping.tick()
    (found,) = ask(services, "SELECT state, attempt, deaths FROM jobs")
    assert tuple(found) == ("queued", 0, 3)


def test_one_that_was_alone_spends_it(reaping: Reaping) -> None:
    services = reaping.services
    worker_id, job_id = given_worker(services), given_job(services, max_attempts=1)
    tell(services, "UPDATE jobs SET deaths = 9")
    with services.database.transaction() as tx:
        assert moves.claim(tx, worker_id, [job_id], quarantine=True)
    silence(services, worker_id, 60)
    reaping.tick()
    assert state_of(services, job_id) is State.FAILED
