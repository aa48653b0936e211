"""What each job must look like: the rules of a job's life in plain Python, with no SQL in sight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from factory.domain.job import ClaimedJob
from factory.domain.quarantine import QUARANTINE_DEATHS, group_size
from factory.domain.state import State


@dataclass(eq=False)
class Lease:
    """What one worker believes to hold: a claimed job, and the call it makes for it."""

    worker_id: UUID
    job: ClaimedJob
    quarantine: bool
    call_id: UUID | None = None
    """The open call of its step."""
    answered: bool = False
    """The step's output is recorded, by this attempt or by one before."""


@dataclass(eq=False)
class Expected:
    """A job as it must be found."""

    id: UUID
    project_id: UUID
    max_attempts: int
    has_webhook: bool
    state: State = State.QUEUED
    attempt: int = 0
    deferrals: int = 0
    deaths: int = 0
    unwanted: bool = False
    lease: Lease | None = None
    last_lease: Lease | None = None
    """Whose holder moved the job last."""
    step_done: bool = False
    endings: int = 0
    calls: int = 0
    """How many were allowed."""
    archived: bool = False
    expired: bool = False
    """Its content is gone."""

    @property
    def events(self) -> int:
        """Webhook jobs that are owed: one an ending."""
        return self.endings if self.has_webhook else 0

    @property
    def may_be_cancelled(self) -> bool:
        return not self.state.terminal or self.state is State.CANCELLED

    @property
    def may_be_retried(self) -> bool:
        return self.state is State.FAILED and not self.expired

    def cancelled(self) -> None:
        """By its owner: at once where nobody holds it, else as soon as its attempt ends."""
        if self.state is State.QUEUED:
            self.ended(State.CANCELLED)
        self.unwanted = True

    def claimed(self, lease: Lease) -> None:
        self.attempt += self.state is State.QUEUED
        self.state, self.lease = State.RUNNING, lease

    def holds(self, lease: Lease) -> bool:
        """Whether that lease may still decide."""
        return self.lease is lease

    def moved_before(self, lease: Lease) -> State | None:
        """What a finish by that lease tells when it is made again; None where it never was made."""
        if self.last_lease is not lease:
            return None
        return State.QUEUED if self.state is State.RUNNING else self.state

    def ended(self, state: State, *, calls_left: bool = False) -> None:
        """One that succeeds goes straight into the archive, unless another call of it may still end."""
        self.state, self.last_lease, self.lease = state, self.lease, None
        self.archived = state is State.SUCCEEDED and not calls_left
        self.endings += 1

    def put_back(self, *, spends_attempt: bool) -> None:
        """An attempt that asks for another one. The owner's cancel beats it."""
        if self.unwanted:
            self.ended(State.CANCELLED)
            return
        self.state, self.last_lease, self.lease = State.QUEUED, self.lease, None
        if not spends_attempt:
            self.attempt -= 1
            self.deferrals += 1

    def worker_died(self) -> None:
        if self.deaths >= QUARANTINE_DEATHS and group_size(self.deaths) > 1:
            self.group_died()
            return
        self.deaths += 1
        if self.attempt >= self.max_attempts:
            self.ended(State.FAILED)
        else:
            self.put_back(spends_attempt=True)
        self.last_lease = None

    def group_died(self) -> None:
        self.deaths += 1
        self.put_back(spends_attempt=False)
        self.last_lease = None

    def poisoned(self) -> None:
        self.deaths += 1
        self.ended(State.FAILED)
        self.last_lease = None

    def retried(self) -> None:
        self.archived = False
        self.state, self.attempt, self.deaths, self.unwanted = State.QUEUED, 0, 0, False

    def check(self, row: Any) -> None:
        """Fails unless the stored job (a row of `world.FOUND`) is as it must be."""
        assert State(row.state) is self.state
        assert (row.attempt, row.deferrals, row.deaths) == (
            self.attempt,
            self.deferrals,
            self.deaths,
        )
        assert row.attempt <= row.max_attempts
        assert row.lease_token == (self.lease.job.lease_token if self.lease else None)
        kept = self.state.terminal and not self.expired
        assert (row.archived, row.left_behind) == (self.archived, 0)
        assert row.results == kept
        assert row.outputs == (kept and self.state is State.SUCCEEDED)
        assert row.events == self.events
        assert row.steps == (self.step_done and self._keeps_steps)
        assert row.calls == self.calls

    @property
    def _keeps_steps(self) -> bool:
        """The archive keeps them for a retry alone."""
        return not self.archived or self.may_be_retried
