"""The states of a job and the moves between them."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a job is, and who moves it on.

    QUEUED     the dispatcher publishes it when due, a worker claims it
    RUNNING    its worker finishes, defers or releases it; the reaper takes it back from a dead one
    WAITING    for what `waiting_for` says; whoever brings it queues it, see `domain.waiting`
    SUCCEEDED  final
    FAILED     final, but its owner may retry it
    CANCELLED  final
    """

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing but an owner's retry moves the job on."""
        return self in TERMINAL

    @classmethod
    def named(cls, text: str) -> State:
        """The state of that name. One that this version does not know is live, and shown by its name."""
        try:
            return cls(text)
        except ValueError:
            unknown = str.__new__(cls, text)
            unknown._name_, unknown._value_ = text.upper(), text
            return unknown


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset(
        {State.QUEUED, State.WAITING, State.SUCCEEDED, State.FAILED, State.CANCELLED}
    ),
    State.WAITING: frozenset({State.QUEUED, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset(),
}


def allowed(old: State, new: State) -> bool:
    """Whether a job may move from `old` to `new`."""
    return new in MOVES[old]
