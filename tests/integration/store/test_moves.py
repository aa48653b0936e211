"""Every move between states: the statement makes those that are allowed and refuses all others."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from factory.domain.job import Outcome
from factory.domain.state import State
from factory.services import Services
from factory.store import moves
from tests.integration.store.samples import (
    HOOK,
    PROJECT,
    ask,
    claim,
    finish,
    given_job,
    given_state,
    given_worker,
    state_of,
    tell,
    view,
    webhooks_of,
)

Move = Callable[[Services, UUID, int | None], object]


def _claim(services: Services, job_id: UUID, _token: int | None) -> None:
    claim(services, given_worker(services), job_id)


def _retry(services: Services, job_id: UUID, _token: int | None) -> None:
    with services.database.transaction() as tx:
        moves.retry(tx, PROJECT, job_id)


def _request_cancel(services: Services, job_id: UUID, _token: int | None) -> None:
    with services.database.transaction() as tx:
        moves.request_cancel(tx, PROJECT, job_id)


def _by_holder(state: State) -> Move:
    return lambda services, job_id, token: finish(services, Outcome(job_id, token or 0, state))


def _by_stale_holder(state: State) -> Move:
    return lambda services, job_id, token: finish(services, Outcome(job_id, 999_999, state))


def _by_nobody(state: State) -> Move:
    return lambda services, job_id, _token: finish(services, Outcome(job_id, None, state))


MOVES: dict[str, tuple[Move, dict[State, State]]] = {
    "claim": (_claim, {State.QUEUED: State.RUNNING}),
    "retry": (_retry, {State.FAILED: State.QUEUED}),
    "request cancel": (_request_cancel, {}),
    **{
        f"holder: {new}": (_by_holder(new), {State.RUNNING: new})
        for new in State
        if new is not State.RUNNING
    },
    **{f"stale holder: {new}": (_by_stale_holder(new), {}) for new in State},
    "nobody: failed": (
        _by_nobody(State.FAILED),
        {State.QUEUED: State.FAILED, State.WAITING: State.FAILED},
    ),
    "nobody: cancelled": (
        _by_nobody(State.CANCELLED),
        {State.QUEUED: State.CANCELLED, State.WAITING: State.CANCELLED},
    ),
    "nobody: queued": (_by_nobody(State.QUEUED), {State.WAITING: State.QUEUED}),
    "nobody: succeeded": (_by_nobody(State.SUCCEEDED), {}),
    "nobody: waiting": (_by_nobody(State.WAITING), {}),
}


@pytest.mark.parametrize("name", MOVES)
def test_a_move_starts_from_the_states_that_allow_it_and_from_no_other(
    services: Services, name: str
) -> None:
    move, allowed = MOVES[name]
    for state in State:
        job_id, token = given_state(services, state)
        move(services, job_id, token)
        assert state_of(services, job_id) is allowed.get(state, state), f"from {state}"


def test_a_job_that_waits_has_not_ended(services: Services) -> None:
    job_id, _ = given_state(services, State.WAITING, webhook_url=HOOK)
    assert view(services, job_id).finished_at is None
    assert ask(services, "SELECT FROM job_outcomes WHERE job_id = %(id)s", id=str(job_id)) == []
    assert webhooks_of(services, job_id) == []


@pytest.mark.parametrize("state", State)
def test_a_job_has_a_time_of_end_exactly_when_it_has_ended(
    services: Services, state: State
) -> None:
    job_id, _ = given_state(services, state)
    assert (view(services, job_id).finished_at is not None) == state.terminal


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("state", "'lost'"),
        ("kind", "'chore'"),
        ("priority", "'urgent'"),
        ("attempt", "max_attempts + 1"),
        ("attempt", "-1"),
        ("lease_token", "7"),
    ],
)
def test_the_table_refuses_what_no_job_can_be(services: Services, column: str, value: str) -> None:
    job_id = given_job(services)
    with pytest.raises(Exception, match="violates check constraint"):
        tell(services, f"UPDATE jobs SET {column} = {value} WHERE id = %(id)s", id=str(job_id))


def test_the_table_refuses_a_running_job_without_a_lease(services: Services) -> None:
    job_id, _ = given_state(services, State.RUNNING)
    with pytest.raises(Exception, match="ck_jobs_lease"):
        tell(services, "UPDATE jobs SET lease_token = NULL WHERE id = %(id)s", id=str(job_id))
