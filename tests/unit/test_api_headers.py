"""Headers that may be wrong without harm."""

import pytest

from api.headers import SubmitHeaders
from api.waiting import wait_asked_s


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [
        ("", 0),
        ("wait=10", 10),
        ("respond-async, wait=10", 10),
        ('return=minimal; x, WAIT = "7"', 7),
        ("wait=61", 60),
        ("wait=999999999", 60),
        ("wait=99999999999999999999", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait", 0),
        ("await=5", 0),
        ("wait=٣", 0),
    ],
)
def test_prefer_says_how_long_to_wait(prefer: str, wait_s: int) -> None:
    assert wait_asked_s(prefer) == wait_s


def test_a_good_traceparent_is_kept() -> None:
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert SubmitHeaders(traceparent=good).trace == good


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
    ],
)
def test_a_bad_traceparent_is_ignored(bad: str) -> None:
    assert SubmitHeaders(traceparent=bad).trace is None
