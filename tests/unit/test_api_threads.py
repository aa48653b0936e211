"""What comes in one round of the server's loop is handed to threads together."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api.threads import LONGEST_ROUND_S, Round, Threads

WITHIN_S = 60.0


class Clock:
    """Shows what a test sets."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_round_is_handed_over_at_its_end_in_order() -> None:
    given: list[str] = []
    current = Round(given.extend, Clock())
    for one in ("a", "b"):
        current.go_on()
        current.add(one)
    assert given == []

    current.end()
    current.end()

    assert given == ["a", "b"]


def test_a_long_round_holds_up_nobody() -> None:
    given: list[str] = []
    clock = Clock()
    current = Round(given.extend, clock)
    current.add("a")
    clock.now_s += LONGEST_ROUND_S * 0.9
    current.add("b")
    current.go_on()
    assert given == []

    clock.now_s += LONGEST_ROUND_S * 0.2
    current.go_on()
    assert given == ["a", "b"]

    current.add("c")
    current.go_on()
    assert given == ["a", "b"]


@contextmanager
def running(threads: Threads[str]) -> Iterator[Threads[str]]:
    try:
        yield threads
    finally:
        threads.shutdown(wait=True)


def test_what_is_put_in_together_is_served_at_the_same_time() -> None:
    together = threading.Barrier(3)
    with running(Threads(3, lambda _: together.wait(WITHIN_S) and None)) as threads:
        threads.put(["a", "b"])
        together.wait(WITHIN_S)

    assert not together.broken


def test_what_is_put_in_is_served_in_order() -> None:
    served: queue.SimpleQueue[str] = queue.SimpleQueue()
    with running(Threads(1, served.put)) as threads:
        threads.put(["a", "b"])
        threads.put(["c"])
        assert [served.get(timeout=WITHIN_S) for _ in range(3)] == ["a", "b", "c"]


def test_what_waits_is_served_before_the_end() -> None:
    begun, served = threading.Event(), list[str]()

    def serve(one: str) -> None:
        begun.wait(WITHIN_S)
        served.append(one)

    threads = Threads(1, serve)
    threads.put(["a", "b", "c"])
    threads.shutdown()
    begun.set()
    threads.shutdown(wait=True)

    assert served == ["a", "b", "c"]


def test_a_thread_outlives_what_fails(caplog: pytest.LogCaptureFixture) -> None:
    served: queue.SimpleQueue[str] = queue.SimpleQueue()

    def serve(one: str) -> None:
        served.put(one)
        raise IndexError(one)

    with running(Threads(1, serve)) as threads:
        threads.put(["a", "b"])
        assert [served.get(timeout=WITHIN_S) for _ in range(2)] == ["a", "b"]

    assert caplog.text.count("was not given back") == 2
