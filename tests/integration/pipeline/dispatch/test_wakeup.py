"""Wake-ups: work is seen at once, and found without Redis all the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from factory.pipeline.wakeup import CHANNEL, WakeUpSender
from factory.services import Services
from workers.dispatcher import WakeUpListener


@pytest.fixture
def wake_up(services: Services) -> Iterator[WakeUpSender]:
    wake_up = WakeUpSender(services.redis)
    yield wake_up
    wake_up.stop()


def _waited_s(listener: WakeUpListener, timeout_s: float) -> float:
    started = time.monotonic()
    listener.wait(timeout_s)
    return time.monotonic() - started


def test_a_wake_up_ends_the_wait(services: Services, wake_up: WakeUpSender) -> None:
    listener = WakeUpListener(services, threading.Event())
    listener.wait(0.01)
    threading.Timer(0.05, wake_up.send).start()
    assert _waited_s(listener, 100.0) < 60


def test_wake_ups_that_piled_up_end_one_wait(services: Services) -> None:
    listener = WakeUpListener(services, threading.Event())
    listener.wait(0.01)
    for _ in range(50):
        services.redis.publish(CHANNEL, b"1")
    assert _waited_s(listener, 100.0) < 60
    more = 0
    while _waited_s(listener, 0.2) < 0.15:
        more += 1
    assert more <= 2  # the last of them may still be on their way


def test_many_wake_ups_at_once_are_few_messages(services: Services, wake_up: WakeUpSender) -> None:
    subscription = services.redis.pubsub(ignore_subscribe_messages=True)
    subscription.subscribe(CHANNEL)
    for _ in range(1000):
        wake_up.send()
    heard = 0
    while subscription.get_message(timeout=0.3) is not None or heard == 0:
        heard += 1
    assert heard < 500
    subscription.close()


def test_without_redis_the_tick_goes_on(services: Services) -> None:
    away = replace(services, redis=Redis.from_url("unix:///nowhere"))
    assert 0.15 <= _waited_s(WakeUpListener(away, threading.Event()), 0.2) < 60


def test_a_stop_ends_the_wait_without_redis(services: Services) -> None:
    stopping = threading.Event()
    stopping.set()
    away = replace(services, redis=Redis.from_url("unix:///nowhere"))
    assert _waited_s(WakeUpListener(away, stopping), 100.0) < 60
