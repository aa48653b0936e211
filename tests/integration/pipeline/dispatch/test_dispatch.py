"""Publishing: what goes out, where, in which portions, and what happens when the broker refuses."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import pytest
from redis import Redis

from factory.domain.job import Kind, new_id, public_id
from factory.domain.lanes import SEARCH, WEIGHTS, Priority
from factory.domain.slots import capacity, few, kept_free
from factory.domain.turns import Turns
from factory.embedded.valkey import EmbeddedValkey
from factory.errors import Unavailable
from factory.pipeline.dispatch.publish import dispatch
from factory.services import Services
from tests.integration.pipeline.dispatch.conftest import LEASE_S
from tests.integration.pipeline.outbox import Outbox, published
from tests.integration.store.samples import (
    OTHER_PROJECT,
    PROJECT,
    ask,
    given_job,
    given_jobs,
    given_worker,
    silence,
    tell,
)
from workers.app import create_app
from workers.messages import Publisher

GIVEN_UP_S = 20.0
"""A client without limits of its own waits for 40 s and more."""


def test_without_a_live_worker_nothing_goes_out(services: Services) -> None:
    given_jobs(services, 3)
    silence(services, given_worker(services), 2 * LEASE_S)
    outbox = Outbox()
    assert dispatch(services, outbox.send) == 0
    assert (outbox.sent, published(services)) == ([], 0)


def test_a_lane_that_no_worker_serves_keeps_its_jobs(services: Services) -> None:
    given_job(services)
    given_worker(services, lanes=["anthropic.normal"])
    assert dispatch(services, Outbox().send) == 0


def test_urgent_lanes_go_first_and_one_job_a_message(services: Services) -> None:
    given_worker(services, slots=100)
    for priority in reversed(Priority):
        given_jobs(services, 3, priority=priority)
    outbox = Outbox()
    assert dispatch(services, outbox.send) == 12
    assert [lane for lane, _ in outbox.sent] == [
        "openai.high",
        "openai.normal",
        "openai.low",
        "openai.bulk",
    ]
    assert [len(messages) for _, messages in outbox.sent] == [3, 3, 1, 1]


def test_no_more_goes_out_than_the_workers_can_take(services: Services) -> None:
    given_worker(services, slots=20)
    given_jobs(services, 100)
    outbox = Outbox()
    assert dispatch(services, outbox.send) == capacity(20) - kept_free(capacity(20)) == 21
    assert dispatch(services, outbox.send) == 0


def _held(services: Services, *projects: UUID) -> list[int]:
    """How many jobs of each project are published."""
    out = ask(services, "SELECT project_id FROM hints")
    return [sum(row.project_id == project for row in out) for project in projects]


@pytest.mark.parametrize("priority", Priority)
def test_a_project_that_fills_a_group_leaves_a_tenth_to_who_holds_few(
    services: Services, priority: Priority
) -> None:
    given_worker(services, slots=100)
    given_jobs(services, 300, project_id=OTHER_PROJECT, priority=Priority.BULK)
    while dispatch(services, Outbox().send):
        pass
    [held] = _held(services, OTHER_PROJECT)
    assert 100 <= held <= capacity(100) - kept_free(capacity(100))
    given_jobs(services, 100, project_id=OTHER_PROJECT, priority=Priority.HIGH)
    mine = given_jobs(services, 20, priority=priority)
    outbox = Outbox()
    dispatch(services, outbox.send)
    assert len(set(mine) & set(outbox.job_ids)) >= few(capacity(100))
    while dispatch(services, Outbox().send):
        pass
    others, own = _held(services, OTHER_PROJECT, PROJECT)
    assert others + own <= capacity(100)


def test_many_projects_that_hold_few_fill_a_group_and_a_quarter_ahead(services: Services) -> None:
    given_worker(services, slots=100)
    for _ in range(100):
        given_jobs(services, 3, project_id=new_id())
    while dispatch(services, Outbox().send):
        pass
    assert published(services) == int(1.25 * capacity(100)) + 1


def test_lanes_of_one_project_share_by_weight_what_becomes_free(services: Services) -> None:
    given_worker(services, slots=40)
    for priority in Priority:
        given_jobs(services, 300, priority=priority)
    turns, outbox = Turns(), Outbox()
    for _ in range(150):
        dispatch(services, outbox.send, turns)
        end_one = (
            "WITH first AS (DELETE FROM hints WHERE job_id ="
            " (SELECT job_id FROM hints ORDER BY published_at, job_id LIMIT 1) RETURNING job_id)"
            " UPDATE jobs SET state = 'waiting' WHERE id IN (SELECT job_id FROM first)"
        )
        tell(services, end_one)
    sent = Counter(lane for lane, messages in outbox.sent for ids in messages for _ in ids)
    for priority, weight in WEIGHTS.items():
        assert sent[f"openai.{priority}"] == pytest.approx(sent.total() * weight / 15, abs=5)


def test_an_urgent_job_takes_the_next_free_slot_behind_a_patient_backlog(
    services: Services,
) -> None:
    given_worker(services, slots=40)
    given_jobs(services, 300, priority=Priority.BULK)
    turns = Turns()
    dispatch(services, Outbox().send, turns)
    mine = given_job(services, priority=Priority.HIGH)
    free_one = (
        "WITH first AS (DELETE FROM hints WHERE job_id = (SELECT job_id FROM hints LIMIT 1)"
        " RETURNING job_id)"
        " UPDATE jobs SET state = 'waiting' WHERE id IN (SELECT job_id FROM first)"
    )
    outbox = Outbox()
    assert dispatch(services, outbox.send, turns) == 0
    assert tell(services, free_one) == 1
    dispatch(services, outbox.send, turns)
    assert outbox.job_ids == [mine]


def _given_search(services: Services) -> UUID:
    return given_job(
        services,
        kind=Kind.SEARCH,
        priority=Priority.HIGH,
        provider="local",
        lane_group=SEARCH,
    )


def test_a_search_lies_on_its_own_lane(services: Services) -> None:
    given_worker(services)
    mine = _given_search(services)
    outbox = Outbox()
    dispatch(services, outbox.send)
    assert outbox.sent == [("search.high", [[mine]])]


@pytest.mark.parametrize(
    ("lanes", "queue"),
    [
        (["local.high", "openai.high"], "local.high"),
        (["openai.high", "openai.low"], "openai.high"),
        (["anthropic.bulk"], "anthropic.bulk"),
    ],
)
def test_a_search_goes_where_somebody_is_when_nobody_serves_its_lane(
    services: Services, lanes: list[str], queue: str
) -> None:
    """Workers of before, and installations that name their lanes, know no lanes of searches."""
    given_worker(services, lanes=lanes)
    mine = _given_search(services)
    outbox = Outbox()
    assert dispatch(services, outbox.send) == 1
    assert outbox.sent == [(queue, [[mine]])]


def test_a_small_project_has_its_turn_beside_a_large_one(services: Services) -> None:
    given_worker(services, slots=1)
    given_jobs(services, 1000, project_id=OTHER_PROJECT)
    mine = given_job(services, project_id=PROJECT)
    outbox = Outbox()
    dispatch(services, outbox.send)
    assert mine in outbox.job_ids


@pytest.mark.parametrize("error", [Unavailable("away"), KeyboardInterrupt()])
def test_what_could_not_be_sent_is_sent_by_the_next_round(
    services: Services, error: BaseException
) -> None:
    given_worker(services)
    job_ids = given_jobs(services, 3)

    def refuse(_lane: str, _messages: Sequence[Sequence[UUID]]) -> None:
        raise error

    with pytest.raises(type(error)):
        dispatch(services, refuse)
    assert published(services) == 0
    outbox = Outbox()
    dispatch(services, outbox.send)
    assert sorted(outbox.job_ids) == sorted(job_ids)


def test_the_marks_are_committed_before_a_worker_can_see_the_hint(services: Services) -> None:
    given_worker(services)
    given_job(services)
    seen: list[int] = []
    dispatch(services, lambda _lane, _messages: seen.append(published(services)))
    assert seen == [1]


def test_hints_lie_in_redis_under_their_lane(
    services: Services, own_valkey: EmbeddedValkey
) -> None:
    given_worker(services, lanes=["openai.bulk"], slots=256)
    job_ids = given_jobs(services, 40, priority=Priority.BULK)
    url = own_valkey.start()
    assert dispatch(services, Publisher(create_app(url)).send) == 40
    messages = [json.loads(raw) for raw in Redis.from_url(url).lrange("openai.bulk", 0, -1)]
    hints = [json.loads(base64.b64decode(message["body"]))[0][0] for message in messages]
    assert sorted(len(hint) for hint in hints) == [8, 32]
    assert {one for hint in hints for one in hint} == set(map(public_id, job_ids))
    said = {"argsrepr", "id", "ignore_result", "kwargsrepr", "lang", "origin", "root_id", "task"}
    assert [set(message["headers"]) - said for message in messages] == [set(), set()]


def test_publishing_survives_a_restart_of_the_broker(
    services: Services, own_valkey: EmbeddedValkey
) -> None:
    """What cannot be sent is given up soon: 2 s are the limit of a socket, beside other work it may be more."""
    given_worker(services)
    publisher = Publisher(create_app(own_valkey.start()))
    given_job(services)
    assert dispatch(services, publisher.send) == 1
    own_valkey.stop()
    given_job(services)
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(Unavailable):
            dispatch(services, publisher.send)
        assert time.monotonic() - started < GIVEN_UP_S
    assert published(services) == 1
    own_valkey.start()
    assert dispatch(services, publisher.send) == 1


def test_a_broker_that_hangs_is_given_up(services: Services) -> None:
    given_worker(services)
    given_job(services)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        publisher = Publisher(create_app(f"redis://127.0.0.1:{deaf.getsockname()[1]}"))
        started = time.monotonic()
        with pytest.raises(Unavailable):
            dispatch(services, publisher.send)
    assert time.monotonic() - started < GIVEN_UP_S


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A broker of the test's own, not started."""
    server = EmbeddedValkey(tmp_path / "broker")
    yield server
    server.stop()
