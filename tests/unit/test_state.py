"""The states of a job and the moves between them."""

from __future__ import annotations

from factory.domain.state import MOVES, TERMINAL, State, allowed


def test_every_state_has_its_moves() -> None:
    assert set(MOVES) == set(State)


def test_only_a_failed_job_leaves_its_end() -> None:
    assert {state for state in TERMINAL if MOVES[state]} == {State.FAILED}
    assert MOVES[State.FAILED] == {State.QUEUED}


def test_no_move_stays_where_it_is() -> None:
    assert not any(allowed(state, state) for state in State)


def test_every_state_can_be_reached_and_every_live_one_can_end() -> None:
    reached = set().union(*MOVES.values())
    assert reached == set(State)
    for state in set(State) - TERMINAL:
        assert MOVES[state] >= {State.FAILED, State.CANCELLED}


def test_success_comes_only_from_running() -> None:
    assert [state for state in State if allowed(state, State.SUCCEEDED)] == [State.RUNNING]
