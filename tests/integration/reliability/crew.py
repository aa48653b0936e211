"""What workers do in a random life of jobs, live and late ones: rules of `machine.JobsMachine`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, precondition, rule

from factory.calls.journal import close_calls, open_calls
from factory.domain.job import new_id
from factory.domain.quarantine import QUARANTINE_DEATHS
from factory.domain.state import State
from factory.llm.catalog import load_catalog
from factory.pipeline.dispatch.publish import Message
from factory.pipeline.run.attempt import Claim, Ending, claim_jobs, end_attempts
from factory.services import Services
from tests.integration.reliability.attempt import ERRORS, STEP, end_of, intent, outcome
from tests.integration.reliability.model import Expected, Lease
from tests.integration.reliability.world import World
from workers.quarantine import Death, end_group

CATALOG = load_catalog("")
RARE = 3
"""The remainder of a pick that has the rarer thing done. Small numbers are picked most, above all 0."""
FEW = 4
"""So few workers, and jobs at a time: one of them has a long life."""


class CrewRules(RuleBasedStateMachine):
    """Workers claim, call and finish, die and come late, over the jobs that a model expects."""

    leases = Bundle("leases")
    workers = Bundle("workers")

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services
        self.world = World(services)
        self.jobs: dict[UUID, Expected] = {}
        self.crew: list[UUID] = []

    @precondition(lambda self: len(self.crew) < FEW)
    @rule(target=workers)
    def another_worker(self) -> UUID:
        return self.start_worker()

    def start_worker(self) -> UUID:
        worker = self.world.start_worker()
        self.crew.append(worker)
        return worker

    @precondition(lambda self: self.world.broker)
    @rule(
        target=leases,
        worker=workers,
        pick=st.integers(0, 99),
        doubled=st.booleans(),
        unheard=st.booleans(),
    )
    def claim(self, worker: UUID, pick: int, doubled: bool, unheard: bool) -> Any:
        """`doubled`: the hint stays in the broker. `unheard`: the first commit's answer was lost."""
        self.world.beat(worker)  # one that was silent is awake again
        message = self._hint(pick)
        if not doubled:
            self.world.broker.remove(message)
        taken = [
            self._claim(worker, self.jobs[job_id], message, unheard)
            for job_id in message.job_ids
            if job_id in self.jobs
        ]
        return multiple(*(lease for lease in taken if lease))

    def _hint(self, pick: int) -> Message:
        """Mostly one of a job that waits; a random choice would be stale most of the time."""
        fresh = [
            message
            for message in self.world.broker
            if any(
                one in self.jobs and self.jobs[one].state is State.QUEUED for one in message.job_ids
            )
        ]
        chosen = fresh if fresh and pick % 5 != RARE else self.world.broker
        return chosen[pick % len(chosen)]

    def _claim(self, worker: UUID, job: Expected, message: Message, unheard: bool) -> Lease | None:
        if job.lease and job.lease.worker_id == worker:
            return None  # a worker asks only for jobs that it does not know to hold
        in_time = job.attempt < job.max_attempts and self.world.found()[job.id].due
        fit = job.deaths < QUARANTINE_DEATHS or message.quarantine
        claim = Claim(worker, job.id, CATALOG, message.quarantine)
        claimed = self.world.write(claim_jobs, claim)
        assert (claimed is not None) == (job.state is State.QUEUED and in_time and fit)
        if claimed and unheard:
            claimed = self.world.write(claim_jobs, claim)
            assert claimed is not None
        if claimed is None:
            return None
        assert (STEP in claimed.steps) == job.step_done, "a finished step would be called again"
        in_time = claimed.seconds_left is None or claimed.seconds_left > 0
        assert (claimed.first_call is not None) == (in_time and not job.step_done)
        lease = Lease(worker, claimed, message.quarantine, answered=job.step_done)
        lease.call_id = claimed.first_call
        job.calls += claimed.first_call is not None
        job.claimed(lease)
        assert claimed.attempt == job.attempt
        return lease

    @rule(
        lease=leases,
        act=st.sampled_from(
            ["retry", "answer", "error", "succeed", "die", *ERRORS, "open", "fail", "fail"]
        ),
        called=st.booleans(),
        alone=st.booleans(),
    )
    def work(self, lease: Lease, act: str, called: bool, alone: bool) -> None:
        """Any worker goes on with what it believes to hold, however late. `called`: it calls before.
        `alone`: a process in quarantine that dies had one job only.
        """
        if called and act in ERRORS:
            self._close_call(lease, None)
        match act:
            case "open":  # a fallback, after the call that came with the claim
                if lease.call_id:
                    self._close_call(lease, "provider_unavailable")
                self._open_call(lease)
            case "answer" | "error":
                self._close_call(lease, None if act == "answer" else "provider_unavailable")
            case "die":
                self._die_apart(lease, alone)
            case _:
                self._finish(lease, act)

    def _open_call(self, lease: Lease) -> None:
        if lease.answered or lease.call_id:
            return
        job, call_id = self.jobs[lease.job.id], new_id()
        for _ in range(2):  # as after a commit whose answer was lost
            assert self.world.write(open_calls, intent(lease, call_id)) == job.holds(lease)
        if job.holds(lease):
            assert not job.step_done, "a finished step is called again"
            lease.call_id = call_id
            job.calls += 1

    def _close_call(self, lease: Lease, error: str | None) -> None:
        """Also by a worker that lost its lease long ago: it paid."""
        self._open_call(lease)
        if not lease.call_id:
            return
        for _ in range(2):
            self.world.write(close_calls, end_of(lease, error))
        lease.call_id = None
        if error is None:
            lease.answered = self.jobs[lease.job.id].step_done = True

    def _finish(self, lease: Lease, how: str) -> None:
        if how == "succeed":
            self._open_call(lease)
        job = self.jobs[lease.job.id]
        holds, wanted = job.holds(lease), outcome(lease, how)
        calls_left = self.world.found()[job.id].open_calls > bool(lease.call_id)
        ending = Ending(wanted, end_of(lease, None) if lease.call_id else None)
        state = self.world.write(end_attempts, ending)
        if ending.call:
            lease.call_id, lease.answered = None, True
            # The output of a step that ends its job is the job's.
            job.step_done |= not (holds and wanted.state is State.SUCCEEDED)
        if holds and wanted.state is State.QUEUED:
            job.put_back(spends_attempt=wanted.spends_attempt)
        elif holds:
            job.ended(wanted.state, calls_left=calls_left)
        assert state == job.moved_before(lease)
        assert self.world.write(end_attempts, ending) == state, "the same end, made again"

    def _die_apart(self, lease: Lease, alone: bool) -> None:
        """The process of a group of quarantined jobs ends, and its parent says so."""
        if lease.quarantine:
            held = self._held_by(lease.worker_id)
            self.world.write(end_group, Death(lease.worker_id, alone))
            for job in held:
                if alone:
                    job.poisoned()
                else:
                    job.group_died()

    def _held_by(self, worker: UUID) -> list[Expected]:
        return [job for job in self.jobs.values() if job.lease and job.lease.worker_id == worker]
