"""What somebody else puts on a lane: it is dropped, and neither the worker ends nor a slot is lost."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from factory.domain.job import new_id
from factory.domain.slots import capacity
from factory.errors import Unavailable
from factory.pipeline.dispatch.publish import Message
from tests.integration.pool.conftest import RunningWorker, StartWorker, eventually
from workers.app import create_app
from workers.foreign_messages import ASIDE, put_aside
from workers.messages import Publisher

LANE = "anthropic.normal"
OTHER_LANE = "gemini.low"
SLOTS = 4
ENDLESS_S = 600.0


def message(body: Any = None, *, drop: str | None = None, **changes: Any) -> bytes:
    """A message such as Celery's, with something wrong in it."""
    whole: dict[str, Any] = {
        "body": _encoded([[0.0], {}, {}] if body is None else body),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "nap", "id": "one", "lang": "py", "root_id": "one"},
        "properties": {
            "correlation_id": "one",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": LANE},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "tag",
        },
    }
    whole.update(changes)
    if drop:
        del whole[drop]
    return json.dumps(whole).encode()


def headers(**changes: Any) -> bytes:
    whole = json.loads(message())
    return message(headers={**whole["headers"], **changes})


def properties(**changes: Any) -> bytes:
    whole = json.loads(message())
    return message(properties={**whole["properties"], **changes})


def _encoded(body: Any) -> str:
    return base64.b64encode(json.dumps(body).encode()).decode()


STRANGE = {
    "no JSON": b"hello",
    "nothing": b"",
    "binary": bytes(range(256)),
    "half a pair": b'{"body": "\xed\xa0\x80"}',
    "a number": b"7",
    "null": b"null",
    "a list": b'["a", "b"]',
    "a text": b'"text"',
    "an empty object": b"{}",
    "another program's": b'{"jid": "1", "class": "HardWorker", "args": []}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep within": message(headers=json.loads("[" * 200 + "]" * 200)),
    "a number that no machine knows": b'{"properties": 1e999}',
    "cut off": message()[:-20],
    "no properties": message(drop="properties"),
    "no headers": message(drop="headers"),
    "no body": message(drop="body"),
    "no content type": message(drop="content-type"),
    "properties are a list": message(properties=[]),
    "properties are null": message(properties=None),
    "no delivery tag": message(properties={"delivery_info": {}}),
    "headers are a list": message(headers=["task"]),
    "headers are a text": message(headers="task"),
    "headers are a number": message(headers=5),
    "body is an object": message(**{"body": {"args": []}}),
    "body is a number": message(**{"body": 5}),
    "body is not base64": message(**{"body": "%%%"}),
    "body is no JSON": message(**{"body": base64.b64encode(b"\x80\x81").decode()}),
    "pickle": message(**{"content-type": "application/x-python-serialize"}),
    "yaml": message(**{"content-type": "application/x-yaml"}),
    "a strange content type": message(**{"content-type": ["a"]}),
    "a strange encoding": message(**{"content-encoding": "rot13"}),
    "body encoding": properties(body_encoding="gzip"),
    "body encoding is a list": properties(body_encoding=[]),
    "delivery info is a list": properties(delivery_info=[]),
    "delivery info is null": properties(delivery_info=None),
    "another routing key": properties(delivery_info={"exchange": "", "routing_key": ["x"]}),
    "a routing key that is no lane": properties(delivery_info={"routing_key": "nobody.never"}),
    "no routing key": properties(delivery_info={}),
    "reply to a list": properties(reply_to=[]),
    "correlation id": properties(correlation_id={}),
    "an unknown task": headers(task="os.system"),
    "a task that is a list": headers(task=["nap"]),
    "a task that is an object": headers(task={}),
    "a task that is null": headers(task=None),
    "no id": headers(id=None),
    "an id that is a list": headers(id=[1]),
    "an id that is an object": headers(id={"a": 1}),
    "a time limit that is a text": headers(timelimit="abc"),
    "time limits that are texts": headers(timelimit=["a", "b"]),
    "three time limits": headers(timelimit=[1, 2, 3]),
    "a time limit that is a number": headers(timelimit=5),
    "an eta that is no time": headers(eta="tomorrow"),
    "an eta that is a list": headers(eta=[1]),
    "an eta too late": headers(eta="9999-12-31T23:59:59-14:00"),
    "an expiry that is no time": headers(expires="never"),
    "an expiry that is a list": headers(expires=[1]),
    "retries": headers(retries="many"),
    "compression": headers(compression="zlib"),
    "unknown compression": headers(compression="magic"),
    "stamps": headers(stamped_headers=["a"], stamps=5),
    "group": headers(group=[1], group_index="x"),
    "chain": message([[0.0], {}, {"chain": [5], "callbacks": 7, "errbacks": "x", "chord": 1}]),
    "arguments are no list": message("args"),
    "arguments are an object": message({"args": [0.0]}),
    "arguments are null": message([None, None, None]),
    "two parts": message([[0.0], {}]),
    "four parts": message([[0.0], {}, {}, {}]),
    "keyword arguments are a list": message([[0.0], [], {}]),
    "wrong arguments": message([[0.0, 1, 2, 3], {"x": 1}, {}]),
    "args is a number": message([5, {}, {}]),
    "an argument of the wrong type": message([["long"], {}, {}]),
    "protocol 1": json.dumps(
        {
            **json.loads(message()),
            "headers": {},
            "body": _encoded({"task": "nap", "id": "one", "args": 5, "kwargs": {}}),
        }
    ).encode(),
    "protocol 1 without a task": message({"id": 1}, headers={}),
    "huge": message([["x" * 20_000_000], {}, {}]),
    "batch of a text": headers(task="batch"),
}


@pytest.fixture(scope="module")
def worker(start_worker: StartWorker) -> Iterator[RunningWorker]:
    with start_worker(LANE, SLOTS) as running:
        yield running


def push(worker: RunningWorker, *messages: bytes) -> None:
    with worker.app.connection_for_read() as connection:
        connection.default_channel.client.lpush(worker.lane, *messages)


@pytest.mark.parametrize("name", STRANGE)
def test_a_foreign_message_is_dropped(worker: RunningWorker, name: str) -> None:
    assert worker.process.poll() is None
    # One for BRPOP and more for RPOP, which come by other ways.
    push(worker, *[STRANGE[name]] * 5)
    after = [worker.send("nap", 0.0) for _ in range(3)]

    eventually(lambda: {line["id"] for line in worker.journal("finished")} >= set(after))
    eventually(lambda: worker.inspect("stats")["pool"]["jobs"] == 0)


@pytest.mark.parametrize("key", [OTHER_LANE, f"_kombu.binding.{OTHER_LANE}", "openai.normal"])
def test_a_key_of_another_type_is_put_aside(start_worker: StartWorker, key: str) -> None:
    with start_worker(f"openai.normal,{OTHER_LANE}", SLOTS) as worker:
        with worker.app.connection_for_read() as connection:
            redis = connection.default_channel.client
        publisher = Publisher(worker.app)
        publisher.send(OTHER_LANE, [Message((new_id(),))])
        redis.delete(key, ASIDE + key)
        redis.set(key, "somebody's")

        def sent() -> bool:
            with suppress(Unavailable):
                publisher.send(OTHER_LANE, [Message((new_id(),))])
                return True
            return False

        eventually(sent)
        eventually(lambda: redis.llen(OTHER_LANE) == 0)
        nap = worker.app.send_task("nap", [0.0], queue=OTHER_LANE)
        eventually(lambda: worker.journal("finished", nap.id))
        # Who has declared its queue looks at the binding no more.
        assert redis.get(key if "binding" in key else ASIDE + key) == b"somebody's"
        assert worker.process.poll() is None
        redis.delete(key, ASIDE + key)


def test_many_processes_put_a_key_aside_at_once(redis_url: str) -> None:
    """One renames it; the others leave alone what has been made in its place."""
    key = "many.normal"
    with create_app(redis_url).connection_for_read() as connection, ThreadPoolExecutor(4) as hands:
        redis = connection.default_channel.client

        def put_aside_and_push(_: int) -> None:
            put_aside(redis, key, b"list")
            redis.lpush(key, "ours")

        for _ in range(200):
            redis.delete(key, ASIDE + key)
            redis.set(key, "somebody's")
            list(hands.map(put_aside_and_push, range(4)))
            assert redis.get(ASIDE + key) == b"somebody's"
            assert redis.llen(key) == 4
        redis.delete(key, ASIDE + key)


def test_a_publisher_declares_its_queue_beside_a_foreign_key(start_worker: StartWorker) -> None:
    key = f"_kombu.binding.{OTHER_LANE}"
    with start_worker(OTHER_LANE, SLOTS) as worker:
        with worker.app.connection_for_read() as connection:
            redis = connection.default_channel.client
        redis.set(key, "somebody's")
        Publisher(worker.app).send(OTHER_LANE, [Message((new_id(),))])
        eventually(lambda: redis.llen(OTHER_LANE) == 0)
        assert redis.get(ASIDE + key) == b"somebody's"
        redis.delete(ASIDE + key)


def test_all_slots_are_still_there(worker: RunningWorker) -> None:
    push(worker, *STRANGE.values())
    naps = [worker.send("nap", ENDLESS_S) for _ in range(capacity(SLOTS))]
    eventually(lambda: {line["id"] for line in worker.journal("started")} >= set(naps))
