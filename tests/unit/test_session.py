"""What a refresh token is worth."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from factory.domain.session import GRACE, RefreshState, Verdict, judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STATE = RefreshState("newest", "before", NOW, NOW + timedelta(days=1), ended=False)
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("token", "after", "verdict"),
    [
        ("newest", timedelta(), Verdict.ROTATE),
        ("newest", timedelta(hours=5), Verdict.ROTATE),
        ("before", timedelta(), Verdict.REPEAT),
        ("before", -MOMENT, Verdict.REPEAT),
        ("before", GRACE, Verdict.REPEAT),
        ("before", GRACE + MOMENT, Verdict.REUSED),
        ("older", timedelta(), Verdict.REUSED),
        ("newest", timedelta(days=1), Verdict.ENDED),
        ("older", timedelta(days=1), Verdict.ENDED),
    ],
)
def test_a_token_is_good_once_and_its_predecessor_for_a_moment(
    token: str, after: timedelta, verdict: Verdict
) -> None:
    assert judge(STATE, [token], NOW + after) is verdict


def test_of_a_session_that_was_ended_nothing_is_good() -> None:
    for token in ("newest", "before", "older"):
        assert judge(replace(STATE, ended=True), [token], NOW) is Verdict.ENDED


def test_before_the_first_rotation_there_is_one_token() -> None:
    fresh = replace(STATE, previous_hash=None, rotated_at=None)
    assert judge(fresh, ["newest"], NOW) is Verdict.ROTATE
    assert judge(fresh, ["before"], NOW) is Verdict.REUSED


def test_a_token_is_known_under_each_secret_in_use() -> None:
    assert judge(STATE, ["under another secret", "newest"], NOW) is Verdict.ROTATE
