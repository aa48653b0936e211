"""Revoking by a job's id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from celery.worker import state

from factory.domain.job import new_id, public_id
from workers.revocation import not_revoked, revoking

MESSAGE = "5f2d0a3e-8a2c-4c0e-9a55-0d5a6f2f7a11"
CELERYS = {"ok": "flagged"}


@pytest.fixture
def revoked() -> Iterator[set[str]]:
    """What this worker was told to leave alone."""
    yield state.revoked
    state.revoked.clear()


def revoke(named: Any, messages: dict[str, object], **options: Any) -> list[UUID]:
    """The jobs that are ended beside Celery's messages."""
    cancelled = list[UUID]()
    state.requests.update(messages)
    try:
        assert (
            revoking(lambda *_, **__: CELERYS, cancelled.append)(None, named, **options) == CELERYS
        )
    finally:
        state.requests.clear()
    return cancelled


def test_a_job_that_is_no_message_is_ended() -> None:
    one, other = new_id(), new_id()
    assert revoke(public_id(one), {}, terminate=True) == [one]
    assert revoke([public_id(one), public_id(other)], {}, terminate=True) == [one, other]


def test_a_job_with_a_message_of_its_own_is_left_to_celery() -> None:
    name = public_id(new_id())
    assert revoke([name, MESSAGE], {name: object(), MESSAGE: object()}, terminate=True) == []


def test_what_is_not_to_be_ended_and_what_is_no_job_is_left_alone() -> None:
    assert revoke(public_id(new_id()), {}) == []
    assert revoke(public_id(new_id()), {}, terminate=False) == []
    assert revoke([MESSAGE, "job_x"], {}, terminate=True) == []


def test_a_message_runs_those_of_its_jobs_that_were_not_revoked(revoked: Any) -> None:
    one, other = new_id(), new_id()
    revoked.add(public_id(one))
    assert not_revoked([public_id(one), public_id(other)]) == [other]
