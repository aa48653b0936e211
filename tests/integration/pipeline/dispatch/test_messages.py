"""What the publisher writes is what Celery writes: in a real Redis, field by field."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from kombu import Connection
from redis import Redis

from factory.domain.job import new_id, public_id
from factory.domain.lanes import all_lanes
from factory.pipeline.dispatch.publish import Message
from workers.app import WorkerApp, create_app
from workers.foreign_messages import read_message
from workers.messages import EMPTY, RUN_JOBS, RUN_QUARANTINED, Publisher

LANE = "openai.bulk"
DRAWN = ("headers.id", "headers.root_id", "properties.correlation_id", "properties.delivery_tag")
"""Fields that hold an id which is drawn for each message. One of many jobs has no job's id."""
MANY = [2, 26, 27, 32, 512]
"""Celery shows 26 ids in full, and no more of longer lists than their beginning."""


@pytest.fixture
def app(redis_url: str) -> Iterator[WorkerApp]:
    """Its lanes in Redis are empty."""
    redis = Redis.from_url(redis_url)
    redis.delete(*all_lanes())
    app = create_app(redis_url)
    yield app
    app.close()
    redis.delete(*all_lanes())


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def by_celery(app: WorkerApp, lane: str, message: Message) -> None:
    """Publishes the message by Celery's own way."""
    job_ids = [public_id(job_id) for job_id in message.job_ids]
    app.send_task(
        RUN_QUARANTINED if message.quarantine else RUN_JOBS,
        args=[job_ids],
        task_id=job_ids[0] if len(job_ids) == 1 else None,
        queue=lane,
        ignore_result=True,
    )


def taken(redis: Redis, lane: str) -> dict[str, Any]:
    """The next message of the lane, with its body read."""
    text = redis.rpop(lane)
    assert isinstance(text, bytes)
    message: dict[str, Any] = json.loads(text)
    return {**message, "body": json.loads(b64decode(message["body"]))}


def fields(message: Mapping[str, Any]) -> dict[str, Any]:
    """All of the message by path. Headers that say nothing count as none."""
    headers = {name: value for name, value in message["headers"].items() if value not in EMPTY}
    parts = {"headers": headers, "properties": message["properties"]}
    inner = {f"{part}.{name}": one for part, some in parts.items() for name, one in some.items()}
    return {**{name: one for name, one in message.items() if name not in parts}, **inner}


def differences(ours: Mapping[str, Any], celerys: Mapping[str, Any]) -> set[str]:
    """The fields in which messages for the same jobs differ."""
    mine, other = fields(ours), fields(celerys)
    return {name for name in mine.keys() | other.keys() if mine.get(name) != other.get(name)}


def both(app: WorkerApp, redis: Redis, lane: str, message: Message) -> list[dict[str, Any]]:
    """The message as the publisher wrote it, and as Celery did."""
    Publisher(app).send(lane, [message])
    by_celery(app, lane, message)
    return [taken(redis, lane) for _ in range(2)]


def jobs(count: int) -> list[UUID]:
    return [new_id() for _ in range(count)]


@pytest.mark.parametrize("lane", all_lanes())
def test_a_message_of_one_job_is_celerys(app: WorkerApp, redis: Redis, lane: str) -> None:
    ours, celerys = both(app, redis, lane, Message(jobs(1)))
    assert differences(ours, celerys) == {"properties.delivery_tag"}
    assert ours["headers"]["id"] == ours["body"][0][0][0]


@pytest.mark.parametrize("quarantine", [False, True])
@pytest.mark.parametrize("count", MANY)
def test_a_message_of_many_jobs_is_celerys(
    app: WorkerApp, redis: Redis, count: int, quarantine: bool
) -> None:
    ours, celerys = both(app, redis, LANE, Message(jobs(count), quarantine))
    assert differences(ours, celerys) == set(DRAWN)
    drawn = {fields(ours)[name] for name in DRAWN}
    assert len(drawn) == 2
    assert all(isinstance(UUID(one), UUID) for one in drawn)


@pytest.mark.parametrize("name", sorted({*DRAWN, "headers.task", "headers.argsrepr", "body"}))
def test_a_field_that_is_not_filled_in_is_noticed(app: WorkerApp, redis: Redis, name: str) -> None:
    """A control: what another message says in this field is not taken for equal."""
    mine, other = Message(jobs(1)), Message(jobs(1), quarantine=True)
    [ours, _], [others, celerys] = both(app, redis, LANE, mine), both(app, redis, LANE, other)
    part, _, inner = name.partition(".")
    stale = {**others, part: {**others[part], inner: ours[part][inner]} if inner else ours[part]}
    assert differences(stale, celerys) == {name, "properties.delivery_tag"}


def test_no_two_messages_share_a_tag_or_an_id(app: WorkerApp, redis: Redis) -> None:
    publisher = Publisher(app)
    messages = [Message(jobs(2)) for _ in range(1200)]
    publisher.send(LANE, messages[:600])
    publisher.send(LANE, messages[600:])
    found = [taken(redis, LANE) for _ in messages]
    assert len({one["properties"]["delivery_tag"] for one in found}) == len(found)
    assert len({one["headers"]["id"] for one in found}) == len(found)
    in_turn = [[public_id(job_id) for job_id in message.job_ids] for message in messages]
    assert [one["body"][0][0] for one in found] == in_turn


def test_a_worker_takes_it_for_one_of_ours(app: WorkerApp, redis: Redis) -> None:
    Publisher(app).send(LANE, [Message(jobs(1)), Message(jobs(32))])
    for _ in range(2):
        text = redis.rpop(LANE)
        assert isinstance(text, bytes)
        assert read_message(text, {RUN_JOBS})


def test_what_a_consumer_had_not_acknowledged_goes_back_to_its_lane(
    app: WorkerApp, redis: Redis
) -> None:
    """A stock consumer keeps a message in a second key until then."""
    Publisher(app).send(LANE, [Message(jobs(1))])
    by_us = json.loads(redis.lrange(LANE, 0, 0)[0])
    with Connection(app.conf.broker_url) as connection:
        channel = connection.default_channel
        found = channel.basic_get(LANE)
        assert found.delivery_tag == by_us["properties"]["delivery_tag"]
        assert redis.llen(LANE) == 0
        channel.basic_recover(requeue=True)
    restored = json.loads(redis.lrange(LANE, 0, 0)[0])
    assert restored["headers"].pop("redelivered")
    for one in (restored, by_us):
        one["properties"]["delivery_info"].pop("redelivered", None)
    assert restored == by_us


def test_each_connection_declares_the_lanes_that_it_sends_to(app: WorkerApp, redis: Redis) -> None:
    binding = f"_kombu.binding.{LANE}"
    for _ in range(2):
        redis.delete(binding)
        Publisher(app).send(LANE, [Message(jobs(1))])
        assert redis.exists(binding)
