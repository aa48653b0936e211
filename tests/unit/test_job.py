"""Ids of jobs and the errors that their owners read."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from factory.domain.instant import EARLIEST
from factory.domain.job import (
    JobError,
    Kind,
    NewJob,
    first_id,
    made_at,
    new_id,
    parse_id,
    public_id,
)
from factory.domain.lanes import Priority
from factory.errors import NotFound, ProviderRefused, RateLimited


def test_an_id_is_a_uuid_of_version_7_that_tells_its_time() -> None:
    before_ms = time.time_ns() // 1_000_000
    made = new_id()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert 0 <= (made.int >> 80) - before_ms < 60_000


def test_ids_differ_and_sort_by_their_millisecond() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert len(set(ids)) == 10_000
    milliseconds = [one.int >> 80 for one in ids]
    assert milliseconds == sorted(milliseconds)


def test_an_id_tells_a_time_from_which_on_it_was_made_by_any_clock() -> None:
    now = datetime.now(UTC)
    assert timedelta(days=1) <= now - made_at(new_id()) + timedelta(seconds=1) < timedelta(days=2)


ODD = (
    "00000000-0000-0000-0000-000000000000",
    "00000000-0000-7000-8000-000000000000",
    "6f6b2ad2-5e4b-4f0d-9c39-0d7a1c1d2e3f",
    "ffffffff-ffff-7fff-bfff-ffffffffffff",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
)


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_id_may_have_been_made_at_any_time(odd: str) -> None:
    assert made_at(UUID(odd)) == EARLIEST


def test_the_first_id_of_a_time_parts_earlier_ids_from_later_ones() -> None:
    made, now = new_id(), datetime.now(UTC)
    assert first_id(now - timedelta(seconds=1)) < made < first_id(now + timedelta(milliseconds=2))


def test_a_public_id_leads_back() -> None:
    made = new_id()
    assert public_id(made).startswith("job_")
    assert parse_id(public_id(made)) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "job_",
        "0" * 32,
        "job_" + "0" * 31,
        "job_" + "0" * 33,
        "job_" + "g" * 32,
        "job_{" + "0" * 30 + "}",
        "job_job_" + "0" * 28,
        "resp_" + "0" * 32,
        str(UUID(int=0)),
    ],
)
def test_what_is_no_id_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        parse_id(text)


def test_a_job_goes_to_the_lane_of_its_provider_and_priority() -> None:
    job = NewJob(new_id(), new_id(), Kind.COMPLETION, "groq", Priority.LOW, {})
    assert job.lane == "other.low"


def test_an_error_tells_its_owner_what_and_whether_again() -> None:
    error = ProviderRefused("no such model", provider="openai", code="model_not_found")
    assert JobError.of(error).as_dict() == {
        "type": "provider_refused",
        "code": "model_not_found",
        "message": "no such model",
        "retryable": False,
    }
    assert JobError.of(RateLimited("wait", provider="openai")).retryable


def test_an_error_is_told_short_and_without_nuls() -> None:
    error = ProviderRefused("\x00" + "x" * 5000, provider="openai", code="a\x00b")
    told = JobError.of(error)
    assert len(told.message) <= 2000
    assert "\x00" not in told.message
    assert told.code == "a\ufffdb"
