"""Where jobs are looked for, and how often Postgres is asked."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import event

from factory.domain.job import new_id
from factory.domain.state import State
from factory.services import Services
from factory.store import details
from factory.store.database import Tx
from factory.store.lookup import ENDED_IN_A_ROW
from tests.integration.store.ends import succeed
from tests.integration.store.samples import PROJECT, claim_one, given_job


@pytest.fixture
def tx(services: Services) -> Iterator[Tx]:
    """One connection: each keeps by itself what was asked for."""
    with services.database.autocommit() as opened:
        yield opened


@pytest.fixture
def sent(services: Services) -> Iterator[list[str]]:
    """What Postgres is asked."""
    noted: list[str] = []

    def note(*given: object) -> None:
        noted.append(str(given[2]))

    event.listen(services.database.engine, "before_cursor_execute", note)
    yield noted
    event.remove(services.database.engine, "before_cursor_execute", note)


def given_archived(services: Services) -> UUID:
    job = claim_one(services, given_job(services))
    assert succeed(services, job) is State.SUCCEEDED
    return job.id


def states(tx: Tx, *job_ids: UUID) -> list[State | None]:
    found = details.get_small_details(tx, [(PROJECT, job_id) for job_id in job_ids])
    return [job and job.state for job in found]


def trips(tx: Tx, sent: list[str], *job_ids: UUID) -> int:
    """How many statements a look for them takes."""
    sent.clear()
    states(tx, *job_ids)
    return len(sent)


def test_who_asks_for_archived_jobs_alone_soon_gets_them_at_once(
    services: Services, tx: Tx, sent: list[str]
) -> None:
    archived = given_archived(services)
    states(tx, archived)  # a new connection asks whether it is pooled

    assert [trips(tx, sent, archived) for _ in range(ENDED_IN_A_ROW)] == [
        *[2] * (ENDED_IN_A_ROW - 1),
        1,
    ]


def test_a_live_job_has_the_next_look_start_with_the_live_ones(
    services: Services, tx: Tx, sent: list[str]
) -> None:
    archived, live = given_archived(services), given_job(services)
    states(tx, live)
    for _ in range(ENDED_IN_A_ROW):
        states(tx, archived)

    assert [trips(tx, sent, *asked) for asked in ([archived, live], [live], [archived])] == [
        2,
        1,
        2,
    ]


def test_every_job_is_found_wherever_the_look_starts(services: Services, tx: Tx) -> None:
    archived, live, unknown = given_archived(services), given_job(services), new_id()
    for _ in range(ENDED_IN_A_ROW + 1):
        states(tx, archived)

    found = states(tx, live, unknown, archived, live)

    assert found == [State.QUEUED, None, State.SUCCEEDED, State.QUEUED]


def test_unknown_jobs_never_have_the_archive_come_first(
    services: Services, tx: Tx, sent: list[str]
) -> None:
    live = given_job(services)
    for _ in range(ENDED_IN_A_ROW + 1):
        states(tx, new_id())

    assert trips(tx, sent, live) == 1
