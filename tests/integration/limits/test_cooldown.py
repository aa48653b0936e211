"""Cooldowns that processes share through Redis, and what is left of them without it."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from factory.config.limiter import beside
from factory.limits.cooldown import KEY, LEAST_S, LONGEST_S, Cooldowns
from factory.services import Services, connect_redis

MODEL = "credential:openai/gpt-4o-mini"
OTHER = "credential:openai/gpt-4o"
PATIENCE_S = 60.0
MakeCooldowns = Callable[[Redis], Cooldowns]


@pytest.fixture
def limiter(services: Services) -> Iterator[Redis]:
    services.limiter.delete(KEY)
    yield services.limiter
    services.limiter.delete(KEY)


@pytest.fixture
def started() -> Iterator[MakeCooldowns]:
    made: list[Cooldowns] = []

    def start(redis: Redis) -> Cooldowns:
        made.append(Cooldowns(redis))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.stop()


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def test_another_process_learns_of_it_within_a_look(limiter: Redis, started: MakeCooldowns) -> None:
    one, other = started(limiter), started(limiter)
    one.add(MODEL, 500.0)
    assert 400 < one.left_s(MODEL) <= 500
    eventually(lambda: other.left_s(MODEL) > 0)
    assert 400 < other.left_s(MODEL) <= 501
    assert other.left_s(OTHER) <= 0


def test_a_process_that_starts_later_learns_of_it_too(
    limiter: Redis, started: MakeCooldowns
) -> None:
    started(limiter).add(MODEL, 500.0)
    eventually(lambda: limiter.zcard(KEY) == 1)
    later = started(limiter)
    eventually(lambda: later.left_s(MODEL) > 400)


def test_the_longer_of_two_stays(limiter: Redis, started: MakeCooldowns) -> None:
    one, other = started(limiter), started(limiter)
    one.add(MODEL, 900.0)
    other.add(MODEL, 100.0)
    other.add(OTHER, 100.0)
    eventually(lambda: limiter.zcard(KEY) == 2)
    eventually(lambda: other.left_s(MODEL) > 800)
    one.add(MODEL, 100.0)
    assert one.left_s(MODEL) > 800


def test_one_that_has_ended_is_gone(limiter: Redis, started: MakeCooldowns) -> None:
    one, other = started(limiter), started(limiter)
    one.add(MODEL, 2 * LEAST_S)
    eventually(lambda: one.left_s(MODEL) <= 0 and other.left_s(MODEL) <= 0)
    one.add(OTHER, 500.0)
    eventually(lambda: limiter.zrange(KEY, 0, -1) == [OTHER.encode()])


@pytest.mark.parametrize("strange", [b"\xff\xfe", "a list"])
def test_what_cannot_be_read_there_ends_no_thread(
    limiter: Redis, started: MakeCooldowns, strange: bytes | str
) -> None:
    if isinstance(strange, str):
        limiter.rpush(KEY, strange)
    else:
        limiter.zadd(KEY, {strange: time.time() * 1000 + 500_000})
    one, other = started(limiter), started(limiter)
    eventually(lambda: one._away and other._away)
    limiter.delete(KEY)
    one.add(MODEL, 500.0)
    eventually(lambda: other.left_s(MODEL) > 400)


def test_none_is_longer_than_an_hour(limiter: Redis, started: MakeCooldowns) -> None:
    one = started(limiter)
    one.add(MODEL, 86_400.0)
    assert one.left_s(MODEL) <= LONGEST_S
    eventually(lambda: 0 < limiter.pttl(KEY) <= LONGEST_S * 1000)


def test_a_user_of_an_access_list_needs_no_more_than_the_page_says(
    limiter: Redis, started: MakeCooldowns, redis_url: str
) -> None:
    page = Path("docs/operations/redis.md").read_text()
    [rules] = re.findall(r"`(~factory:limiter:\S+)` and `([^`]+)`", page)
    limiter.execute_command(
        "ACL", "SETUSER", "limits", "on", ">pass-1", rules[0], *rules[1].split()
    )
    limited = beside(redis_url).replace("unix://", "unix://limits:pass-1@")
    try:
        with connect_redis(limited) as redis:
            started(redis).add(MODEL, 500.0)
            eventually(lambda: limiter.zcard(KEY) == 1)
    finally:
        limiter.execute_command("ACL", "DELUSER", "limits")


def test_without_redis_each_process_goes_by_what_it_has_met(
    limiter: Redis, started: MakeCooldowns, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), connect_redis("redis://127.0.0.1:1/0") as nowhere:
        alone, other = started(nowhere), started(limiter)
        alone.add(MODEL, 500.0)
        eventually(lambda: "not shared" in caplog.text)
        assert alone.left_s(MODEL) > 400
        assert other.left_s(MODEL) <= 0
