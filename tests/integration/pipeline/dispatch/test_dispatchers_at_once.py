"""Two dispatchers at the same moment: they share the work, and fill no group twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from factory.domain.lanes import Priority
from factory.limits.window import Window, windows
from factory.pipeline.dispatch.publish import dispatch
from factory.services import Services
from factory.store import hints
from factory.store.database import Tx
from factory.store.hints import Limits
from tests.integration.pipeline.outbox import Outbox, published
from tests.integration.reliability.rig import eventually
from tests.integration.store.samples import ask, given_jobs, given_worker

WAITING = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def test_two_dispatchers_send_each_job_once(services: Services) -> None:
    given_worker(services, slots=1000)
    job_ids = given_jobs(services, 300)
    outboxes = [Outbox(), Outbox()]
    start = threading.Barrier(2)

    def work(outbox: Outbox) -> None:
        start.wait(60)
        for _ in range(3):
            dispatch(services, outbox.send)

    threads = [threading.Thread(target=work, args=[outbox]) for outbox in outboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = [job_id for outbox in outboxes for job_id in outbox.job_ids]
    assert sorted(sent) == sorted(job_ids)


def test_a_dispatcher_that_another_overtakes_fills_no_group_twice(services: Services) -> None:
    """It has looked before the other published."""
    given_worker(services, slots=100)
    given_jobs(services, 600)
    with services.database.transaction() as tx:
        look = hints.look(tx, services.settings.lease_s)
    [seen] = windows(look.due, look.workers, {})
    while dispatch(services, Outbox().send):
        pass
    before = published(services)
    with services.database.transaction() as tx:
        limits = hints.Limits(seen.free, seen.full, seen.few)
        assert hints.publish(tx, seen.lane, seen.room, limits) == []
    assert before == seen.full


def test_a_dispatcher_waits_for_the_other_that_fills_the_same_group(services: Services) -> None:
    """Neither could see what the other has marked and not committed."""
    given_worker(services, slots=100)
    for priority in Priority:
        given_jobs(services, 300, priority=priority)
    with services.database.transaction() as tx:
        look = hints.look(tx, services.settings.lease_s)
    found = {one.lane: one for one in windows(look.due, look.workers, {})}
    first, second = found["openai.high"], found["openai.low"]
    with ThreadPoolExecutor(1) as other:
        with services.database.transaction() as tx:
            assert len(_publish_as(tx, first)) == first.full
            late = other.submit(_publish_alone, services, second)
            eventually(lambda: late.done() or ask(services, WAITING))
        assert late.result(60) == []
    assert published(services) == first.full


def _publish_alone(services: Services, one: Window) -> list[UUID]:
    with services.database.autocommit() as tx:
        return _publish_as(tx, one)


def _publish_as(tx: Tx, one: Window) -> list[UUID]:
    return hints.publish(tx, one.lane, one.full, Limits(one.free, one.full, 0))
