"""What is kept of an answer gives the same answer again, whatever has become of the job."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from factory.domain.job import Kind, NewJob
from factory.domain.lanes import Priority
from factory.domain.state import State
from factory.errors import InvalidInput
from factory.pipeline.accept.accepted import (
    BulkAccepted,
    bulk_as_accepted,
    job_as_accepted,
    rejected,
    stored_bulk,
    stored_job,
)
from factory.store.database import as_json
from factory.store.jobs import queued

AT = datetime(2026, 11, 30, 8, 0, 0, 123456, UTC)
JOB = NewJob(
    id=UUID(int=1),
    project_id=UUID(int=2),
    kind=Kind.COMPLETION,
    provider="openai",
    priority=Priority.NORMAL,
    input={},
    run_at=AT + timedelta(hours=1),
)
ACCEPTED = queued(JOB, AT)
ENDED = replace(
    ACCEPTED,
    state=State.FAILED,
    run_at=AT + timedelta(hours=3),
    attempt=3,
    deferrals=2,
    cancel_requested=True,
    started_at=AT,
    finished_at=AT,
    output={"text": "x"},
    error={"type": "x"},
    input_tokens=1,
    output_tokens=1,
    cached_tokens=1,
    cost_micros=1,
    unknown_calls=1,
    expired=True,
)


def _stored(document: dict[str, Any]) -> Any:
    """As Postgres gives it back."""
    return json.loads(as_json(document))


def test_a_job_that_has_ended_is_as_it_was_accepted() -> None:
    assert job_as_accepted(ENDED, _stored(stored_job(ACCEPTED))) == ACCEPTED


def test_a_bulk_is_as_it_was_accepted() -> None:
    bad = InvalidInput("no such model", param="model", code="unknown")
    bulk = BulkAccepted([UUID(int=1)], [rejected(7, bad)])
    assert bulk_as_accepted(_stored(stored_bulk(bulk))) == bulk


@pytest.mark.parametrize("stored", [None, {}, {"v": 2, "status": "queued", "run_at": "x"}])
def test_what_is_not_known_here_is_left_to_the_stored_answer(stored: Any) -> None:
    assert job_as_accepted(ENDED, stored) is None
    assert bulk_as_accepted(stored) is None


def test_what_a_newer_program_adds_is_ignored() -> None:
    assert job_as_accepted(ENDED, _stored({**stored_job(ACCEPTED), "more": 1})) == ACCEPTED
